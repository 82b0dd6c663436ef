"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peftir.system.errors import PeftirError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move what was written there into place at the end.

    The block may write a file or a folder. After an error nothing of it stays, and what was at
    ``path`` before is still there. A kill leaves at most ``<path>.partial``, which the next call clears away.

    Raises:
        PeftirError: the disk is full.
    """
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(partial)
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


def _exchange(path: Path, partial: Path) -> None:
    """Put a folder in the place of what is at ``path``, which cannot be done in one step.

    What was there is moved aside first, since removing it takes long enough for a kill to fall into.
    """
    aside = path.with_name(path.name + ".old.partial")
    remove(aside)
    if path.exists():
        path.replace(aside)
    partial.replace(path)
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


def free_megabytes(path: Path) -> int:
    """Free space, in MB, of the disk that holds ``path`` or its nearest existing parent."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free // 2**20


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
