"""What a piece of work took: seconds and memory."""

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
    """Write to ``path`` how many seconds the block took and the process's peak memory in MB.

    The block may add figures of its own to the dictionary that it gets.
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
    """Most memory, in MB, that this process or one of its children has held resident so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    kilo = 1024 if sys.platform == "darwin" else 1
    return int(max(_own_peak(), children / kilo) / 1024)


def _own_peak() -> float:
    """This process's own peak, in KB.

    Linux's ``ru_maxrss`` starts at what the process that started this one held, so a small program started by
    a large one would count the large one's memory; ``VmHWM`` starts anew.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return float(re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)[1])  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
