"""Processes that do not outlive the one that started them."""

from __future__ import annotations

import os
import threading
import time


def end_with(parent: int) -> None:
    """End this process, whatever it is doing, soon after its ``parent`` has ended, even by a kill."""
    threading.Thread(target=_watch, args=[parent], daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
