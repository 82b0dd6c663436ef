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

from peftir.system.errors import PeftirError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move what was written there into place at the end.

    The block may write a file or a folder. After an error nothing of it stays, and what was at ``path``
    before is still there. Several processes may write the same ``path``: each has a temporary path of its
    own, and what the last to end wrote is kept. What a kill leaves, the next call clears away, on the same
    machine.

    Raises:
        PeftirError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(path)
    partial = _beside(path)
    try:
        yield partial
        if partial.is_dir() or path.is_dir():
            _exchange(path, partial)
        else:
            partial.replace(path)
    except Exception as error:
        remove(partial)
        if _says_disk_full(error):
            raise PeftirError(
                f"{path}: the disk is full ({free_megabytes(path)} MB free); free some space and run again, "
                "finished stages are kept"
            ) from error
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


def _says_disk_full(error: Exception) -> bool:
    """Whether ``error`` is of a full disk; libraries written in other languages give its text alone."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return os.strerror(errno.ENOSPC) in str(error)


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
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free // 2**20


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
