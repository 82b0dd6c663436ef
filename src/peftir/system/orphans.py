"""End a process together with its parent."""

from __future__ import annotations

import os
import threading
import time


def end_with(parent: int) -> None:
    """Exit this process soon after its ``parent`` has ended, even if killed."""
    threading.Thread(target=_watch, args=[parent], daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
