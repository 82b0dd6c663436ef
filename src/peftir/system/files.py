"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from peftir.system.errors import REMEDIES, PeftirError, Trouble, reason_of, trouble_of


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move what was written there into place at the end.

    The block may write a file or a folder. After an error nothing of it stays, and what was at ``path``
    before is still there. Several processes may write the same ``path``: each has a temporary path of its
    own, and what the last to end wrote is kept. What a kill leaves, the next call clears away, on the same
    machine.

    Raises:
        PeftirError: the disk is full, or this user may not write there.
    """
    partial = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(path)
        yield partial
        if partial.is_dir() or path.is_dir():
            _exchange(path, partial)
        else:
            partial.replace(path)
    except Exception as error:
        with contextlib.suppress(OSError):  # where nothing may be written, nothing has been
            remove(partial)
        if trouble_of(error) is Trouble.SPACE or _is_about(error, partial):
            raise unusable(path, error) from error
        raise
    except BaseException:
        remove(partial)
        raise


def _beside(path: Path) -> Path:
    """A new name in the folder of ``path``, which tells the machine and the process that made it."""
    unique = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f"{path.name}.{unique}.partial")


def _clear_leftovers(path: Path) -> None:
    """Remove the temporary paths of ``path`` whose process, on this machine, is no more."""
    name = re.compile(rf"{re.escape(f'{path.name}.{platform.node()}')}-(\d+)-[0-9a-f]{{8}}\.partial")
    for entry in list(path.parent.iterdir()):
        made_by = name.fullmatch(entry.name)
        if made_by and not psutil.pid_exists(int(made_by[1])):
            with contextlib.suppress(FileNotFoundError):  # another process is clearing it away too
                remove(entry)


def _exchange(path: Path, partial: Path) -> None:
    """Put what is at ``partial`` in the place of what is at ``path``, of which one is a folder.

    That cannot be done in one step. What was there is moved aside first, since removing it takes long enough
    for a kill to fall into; and again, if another process was quicker to put its own there.
    """
    while True:
        aside = _beside(path)
        with contextlib.suppress(FileNotFoundError):
            path.replace(aside)
        try:
            partial.replace(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
                raise
        finally:
            remove(aside)


def unusable(path: Path, error: Exception, again: str = "make it again") -> PeftirError:
    """What to say of ``error``, met in reading or writing the file or folder ``path``.

    Only a file that is missing or damaged is to be made ``again``; one that this user may not read, or the
    machine cannot just now, may be whole.
    """
    kind = trouble_of(error)
    if kind is Trouble.MISSING and nearest(path) == path:
        kind = Trouble.DAMAGED  # a folder that lacks a file
    reason = f"{free_megabytes(path)} MB free" if kind is Trouble.SPACE else reason_of(error)
    shown = kind.value if kind is Trouble.MISSING else f"{kind.value} ({reason})"
    return PeftirError(f"{path}: {shown}; {REMEDIES.get(kind, again)}")


def _is_about(error: Exception, partial: Path) -> bool:
    """Whether ``error`` says that this user may not write at ``partial`` or in the folders around it."""
    named = error.filename if isinstance(error, OSError) else None
    if trouble_of(error) is not Trouble.PERMISSION or not isinstance(named, str):
        return False
    return Path(named) in partial.parents or Path(named).is_relative_to(partial)


def remove(path: Path) -> None:
    """Remove the file or folder at ``path`` if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content; of a file that has not changed since, it is not read again."""
    status = path.stat()
    return _sha256_of(path.resolve(), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _sha256_of(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file of ``folder`` that matches one of ``patterns``, by its path in there."""
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(files)}


def changed_file(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first file in which two fingerprints differ; ``None`` if they are equal."""
    names = sorted(before.keys() | now.keys())
    return next((name for name in names if before.get(name) != now.get(name)), None)


def free_megabytes(path: Path) -> int:
    """Free space, in MB, of the disk that holds ``path`` or its nearest existing parent."""
    return shutil.disk_usage(nearest(path)).free // 2**20


def nearest(path: Path) -> Path:
    """``path``, or the nearest folder around it that is there, as far as this user may see."""
    while path != path.parent:
        try:
            path.stat()
            return path
        except OSError:
            path = path.parent
    return path


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
