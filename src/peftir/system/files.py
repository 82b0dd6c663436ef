"""Atomic writing of files and folders, hashes, and errors about files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
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
    """Yield a temporary path beside ``path``; move the file or folder written there to ``path`` at the end.

    After an error the temporary path is removed and ``path`` is unchanged. Several processes may write the
    same ``path``: each has its own temporary path, and the last to finish wins. After a kill, the next call
    on the same machine removes the temporary path.

    Raises:
        PeftirError: the disk is full, or the user lacks the permission to write.
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
        with contextlib.suppress(OSError):  # without write permission there is nothing to remove
            remove(partial)
        if trouble_of(error) is Trouble.SPACE or _is_about(error, partial):
            raise unusable(path, error) from error
        raise
    except BaseException:
        remove(partial)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file ``path``, which is created if it is missing, as a lock; wait while others hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _beside(path: Path) -> Path:
    """A new path in the folder of ``path``, with the host name and the process id in its name."""
    unique = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f"{path.name}.{unique}.partial")


def _clear_leftovers(path: Path) -> None:
    """Remove the temporary paths of ``path`` whose process on this machine has ended."""
    name = re.compile(rf"{re.escape(f'{path.name}.{platform.node()}')}-(\d+)-[0-9a-f]{{8}}\.partial")
    for entry in list(path.parent.iterdir()):
        made_by = name.fullmatch(entry.name)
        if made_by and not psutil.pid_exists(int(made_by[1])):
            with contextlib.suppress(FileNotFoundError):  # another process is removing it, too
                remove(entry)


def _exchange(path: Path, partial: Path) -> None:
    """Replace ``path`` by ``partial``, where at least one is a folder.

    This is not possible in one step. The old content is renamed before it is removed, which keeps the time
    without ``path`` short. This is repeated if another process has created ``path`` in the meantime.
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


def unusable(path: Path, error: Exception, remedy: str = "make it again") -> PeftirError:
    """The error to raise for an ``error`` in reading or writing the file or folder ``path``.

    ``remedy`` is used only for a missing or damaged file; other causes have their own remedies.
    """
    kind = trouble_of(error)
    if kind is Trouble.MISSING and nearest(path) == path:
        kind = Trouble.DAMAGED  # the folder exists, but lacks a file
    reason = f"{free_megabytes(path)} MB free" if kind is Trouble.SPACE else reason_of(error)
    shown = kind.value if kind is Trouble.MISSING else f"{kind.value} ({reason})"
    return PeftirError(f"{path}: {shown}; {REMEDIES.get(kind, remedy)}")


def _is_about(error: Exception, partial: Path) -> bool:
    """Whether ``error`` is a missing permission for ``partial`` or a folder around it."""
    named = error.filename if isinstance(error, OSError) else None
    if trouble_of(error) is not Trouble.PERMISSION or not isinstance(named, str):
        return False
    return Path(named) in partial.parents or Path(named).is_relative_to(partial)


def remove(path: Path) -> None:
    """Remove the file or folder ``path`` if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, cached until its size or modification time changes."""
    status = path.stat()
    return _sha256_of(path.resolve(), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _sha256_of(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file in ``folder`` that matches one of ``patterns``, by relative path."""
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(files)}


def changed_file(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first file in which two fingerprints differ; ``None`` if they are equal."""
    names = sorted(before.keys() | now.keys())
    return next((name for name in names if before.get(name) != now.get(name)), None)


def free_megabytes(path: Path) -> int:
    """Free space in MB on the disk of ``path`` or of its nearest existing parent."""
    return shutil.disk_usage(nearest(path)).free // 2**20


def nearest(path: Path) -> Path:
    """``path``, or its nearest parent that exists and is accessible."""
    while path != path.parent:
        try:
            path.stat()
            return path
        except OSError:
            path = path.parent
    return path


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as JSON to ``path``, atomically."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
