"""What a piece of work took: seconds and memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peftir.files import write_json


@contextmanager
def measured(path: Path) -> Iterator[dict[str, float]]:
    """Write to ``path`` how many seconds the block took and the process's peak memory in MB.

    The block may add figures of its own to the dictionary that it gets.
    """
    figures: dict[str, float] = {}
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
    kilo = 1024 if sys.platform == "darwin" else 1
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return int(max(own, children) / kilo / 1024)
