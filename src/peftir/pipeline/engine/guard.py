"""Outlives ``peftir repro`` by a moment, to end what a kill of that would leave.

Started with a pipe from it as standard input. When that ends, all processes whose environment has the mark on
the command line are killed, and the folders named there removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped]


def marked(name: str, value: str) -> Iterator[int]:
    """The processes whose environment says so, but for this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            here = process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE
            if here and process.pid != os.getpid():
                yield process.pid


def main() -> None:
    """Wait and end them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    name, value, *folders = sys.argv[1:]
    sys.stdin.buffer.read()
    while left := list(marked(name, value)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
