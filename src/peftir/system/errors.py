"""Errors that are for the person who made the mistake, and what an error says of the machine."""

from __future__ import annotations

import errno
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

from peftir.system.text import print_anything


class PeftirError(Exception):
    """A mistake that a person can mend.

    The message is one line: what (the file and line, or the key), the value found, what was expected and what
    to do about it.
    """


class Trouble(Enum):
    """Why a file could not be read or written."""

    PERMISSION = "this user may not read or write it"
    SPACE = "the disk is full"
    MISSING = "is missing"
    MACHINE = "cannot be read or written just now"
    DAMAGED = "is damaged"


REMEDIES = {
    Trouble.PERMISSION: "give yourself the right and run again; `peftir doctor` tries the places that count",
    Trouble.SPACE: "free some space and run again, finished stages are kept",
    Trouble.MACHINE: "look into that and run again; nothing says that the file is damaged",
}


NUMBERS = {
    Trouble.PERMISSION: (errno.EACCES, errno.EPERM, errno.EROFS),
    Trouble.SPACE: (errno.ENOSPC, errno.EDQUOT),
    Trouble.MISSING: (errno.ENOENT, errno.ENOTDIR),
    Trouble.MACHINE: (errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT),
}

# Libraries written in other languages give an error's text alone; Java names some by their class.
TEXTS = {kind: tuple(map(os.strerror, numbers)) for kind, numbers in NUMBERS.items()}
TEXTS[Trouble.PERMISSION] += ("AccessDeniedException", "ReadOnlyFileSystemException")
TEXTS[Trouble.MISSING] += ("NoSuchFileException",)
TEXTS[Trouble.MACHINE] += ("out of memory", "OutOfMemoryError")


def trouble_of(error: BaseException) -> Trouble:
    """What ``error``, which came of a file, says of it: damaged is only what nothing else explains."""
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return Trouble.MACHINE
        if isinstance(each, OSError) and each.errno is not None:
            found = (kind for kind, numbers in NUMBERS.items() if each.errno in numbers)
            return next(found, Trouble.MACHINE)
        # These speak of a file's content, and may quote it.
        if not isinstance(each, ValueError | LookupError | TypeError):
            for kind, texts in TEXTS.items():
                if any(text in str(each) for text in texts):
                    return kind
    return Trouble.DAMAGED


def reason_of(error: BaseException) -> str:
    """What ``error`` says, in one line that is not too long."""
    first = next((each for each in _chain(error) if isinstance(each, OSError) and each.strerror), error)
    reason = str(first)
    if isinstance(first, OSError) and first.strerror:
        reason = first.strerror if first.filename is None else f"{first.strerror}: {first.filename}"
    return " ".join(reason.split())[:300] or type(first).__name__


def exits_cleanly(main: Callable[..., None]) -> Callable[..., None]:
    """Decorate the entry point of a command: a :class:`PeftirError` prints as one line and exits with 1.

    So does a full disk or a missing right, wherever it is met. Any other exception keeps its traceback, since
    it is our mistake and not the user's.
    """

    @functools.wraps(main)
    def run(*args: object, **kwargs: object) -> None:
        print_anything(sys.stdout)
        try:
            main(*args, **kwargs)
        except PeftirError as error:
            _say(str(error))
        except BrokenPipeError:
            # Whoever read this, such as head, has seen enough; Python would complain again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            kind = trouble_of(error)
            if kind not in (Trouble.PERMISSION, Trouble.SPACE):
                raise
            _say(f"{_places(error)}: {kind.value} ({reason_of(error)}); {REMEDIES[kind]}")

    return run


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and those that it came of."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        yield each
        each = each.__cause__ or each.__context__


def _places(error: BaseException) -> str:
    """The file of which ``error`` tells, or else the folders that it can be about."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.filename is not None:
            return os.fsdecode(each.filename) if isinstance(each.filename, bytes) else str(each.filename)
    return f"{Path.cwd()} or {tempfile.gettempdir()} (TMPDIR)"


def _say(line: str) -> None:
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(1)
