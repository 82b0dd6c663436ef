"""Measure seconds and peak memory."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peftir.system.files import write_json


@contextmanager
def measured(path: Path) -> Iterator[dict[str, Any]]:
    """Write the seconds of the block and the process's peak memory in MB to ``path``.

    The block may add figures to the yielded dictionary.
    """
    figures: dict[str, Any] = {}
    start = time.perf_counter()
    yield figures
    figures = {
        "seconds": round(time.perf_counter() - start, 1),
        "peak_memory_mb": peak_memory_mb(),
        **figures,
    }
    write_json(path, figures)


def peak_memory_mb() -> int:
    """Peak resident memory in MB of this process or of one of its children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    kilo = 1024 if sys.platform == "darwin" else 1
    return int(max(_own_peak(), children / kilo) / 1024)


def _own_peak() -> float:
    """Peak memory of this process in KB, without children.

    On Linux ``ru_maxrss`` starts with the parent's memory, so a small program started by a large one would
    report too much; ``VmHWM`` does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return float(re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)[1])  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
