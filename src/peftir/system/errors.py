"""Errors for the user, and the classification of file errors by cause."""

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
    """A mistake that the user can fix.

    The message is one line: the file and line, or the key; the value found; what was expected; what to do.
    """


class Trouble(Enum):
    """The cause of an error in reading or writing a file."""

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

# Errors of libraries in other languages have only a text; Java names some by their class.
TEXTS = {kind: tuple(map(os.strerror, numbers)) for kind, numbers in NUMBERS.items()}
TEXTS[Trouble.PERMISSION] += ("AccessDeniedException", "ReadOnlyFileSystemException")
TEXTS[Trouble.MISSING] += ("NoSuchFileException",)
TEXTS[Trouble.MACHINE] += ("out of memory", "OutOfMemoryError")


def trouble_of(error: BaseException) -> Trouble:
    """The cause of ``error``, raised while using a file; ``DAMAGED`` if no other cause applies."""
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return Trouble.MACHINE
        if isinstance(each, OSError) and each.errno is not None:
            found = (kind for kind, numbers in NUMBERS.items() if each.errno in numbers)
            return next(found, Trouble.MACHINE)
        # Messages of these types may quote the content of a file.
        if not isinstance(each, ValueError | LookupError | TypeError):
            for kind, texts in TEXTS.items():
                if any(text in str(each) for text in texts):
                    return kind
    return Trouble.DAMAGED


def reason_of(error: BaseException) -> str:
    """The message of ``error`` on one line, of at most 300 characters."""
    first = next((each for each in _chain(error) if isinstance(each, OSError) and each.strerror), error)
    message = str(first)
    if isinstance(first, OSError) and first.strerror:
        message = first.strerror if first.filename is None else f"{first.strerror}: {first.filename}"
    return " ".join(message.split())[:300] or type(first).__name__


def exits_cleanly(main: Callable[..., None]) -> Callable[..., None]:
    """Decorator for the entry point of a command: print a :class:`PeftirError` as one line and exit with 1.

    The same holds for a full disk and missing permissions. Other exceptions keep their traceback.
    """

    @functools.wraps(main)
    def run(*args: object, **kwargs: object) -> None:
        print_anything(sys.stdout)
        try:
            main(*args, **kwargs)
        except PeftirError as error:
            _exit_with(str(error))
        except BrokenPipeError:
            # The reader, such as head, has closed the pipe; avoid a second error at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            kind = trouble_of(error)
            if kind not in (Trouble.PERMISSION, Trouble.SPACE):
                raise
            _exit_with(f"{_places(error)}: {kind.value} ({reason_of(error)}); {REMEDIES[kind]}")

    return run


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and the exceptions that caused it."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        yield each
        each = each.__cause__ or each.__context__


def _places(error: BaseException) -> str:
    """The file named by ``error``, or else the folders that it may concern."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.filename is not None:
            return os.fsdecode(each.filename) if isinstance(each.filename, bytes) else str(each.filename)
    return f"{Path.cwd()} or {tempfile.gettempdir()} (TMPDIR)"


def _exit_with(line: str) -> None:
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(1)
