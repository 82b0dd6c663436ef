"""Free memory, and the settings of the C library's allocator."""

from __future__ import annotations

import ctypes
from pathlib import Path

import psutil  # type: ignore[import-untyped]

# Of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MOST = 2**30


def keep_freed_memory() -> None:
    """Keep freed blocks of up to 1 GiB in this process instead of returning them to the system.

    Every layer of a model allocates its output, about 15 MB per batch, and the system fills new pages with
    zeros: on two cores encoding took a quarter longer without this, and a step of full fine-tuning a tenth.
    Peak memory does not change. Without glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _MOST)
        mallopt(_TRIM_THRESHOLD, _MOST)


def free_memory() -> int:
    """Free memory in bytes, on this machine and within the container's limit."""
    return min([psutil.virtual_memory().available, *_container_limits()])


def _container_limits() -> list[int]:
    """Bytes left within the container's limit, on Linux; an empty list without a limit."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return []
    return [] if limit == "max" else [int(limit) - int(used)]
