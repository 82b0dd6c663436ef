"""Clean up after ``peftir repro``, even if it was killed.

Its standard input is a pipe from ``peftir repro``. When that closes, it kills all processes that have the
given variable in their environment and removes the given folders.
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
    """The ids of all other processes with the variable ``name`` set to ``value``."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            matches = process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE
            if matches and process.pid != os.getpid():
                yield process.pid


def main() -> None:
    """Wait until standard input closes, then clean up; arguments: variable, value, folders."""
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
