"""Progress of a run in the terminal: a line when a stage starts or ends, and a status line."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path


class Progress:
    """Messages and, on a terminal, a status line under them.

    Args:
        total: number of stages.
        remaining: returns the estimated seconds left and the number of stages whose duration is unknown.
    """

    def __init__(self, total: int, remaining: Callable[[], tuple[float, int]]) -> None:
        self._total = total
        self._remaining = remaining
        self._places: dict[str, int] = {}
        self._running: set[str] = set()
        self._ended = 0
        self._lock = threading.RLock()
        self._live = sys.stdout.isatty()
        self._shown = False

    def started(self, name: str, log: Path) -> None:
        """Report the start of a stage's command."""
        with self._lock:
            self._running.add(name)
            self.say(f"{self._place(name)} {name} … log: {log}")

    def ended(self, name: str, how: str) -> None:
        """Report the end of a stage; ``how`` is its outcome."""
        with self._lock:
            place = self._place(name)
            self._running.discard(name)
            self._ended += 1
            self.say(f"{place} {name}: {how}{'' if self._live else self._left()}")

    def say(self, line: str) -> None:
        """Print a line above the status line."""
        with self._lock:
            try:
                self._clear()
                print(line, flush=True)
            except BrokenPipeError:  # the reader is gone, the study continues
                self._live = False
                sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
            self.refresh()

    def refresh(self) -> None:
        """Redraw the status line."""
        if not self._live:
            return
        with self._lock:
            self._clear()
            line = f"{self._ended} of {self._total} done, {len(self._running)} running{self._left()}"
            print(line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
            self._shown = True

    def close(self) -> None:
        """Remove the status line."""
        with self._lock:
            self._clear()
            self._live = False

    def _clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", flush=True)
            self._shown = False

    def _place(self, name: str) -> str:
        number = self._places.setdefault(name, len(self._places) + 1)
        return f"[{number}/{self._total}]"

    def _left(self) -> str:
        if self._ended == self._total:
            return ""
        seconds, unknown = self._remaining()
        more = f" and {unknown} stage{'s' if unknown > 1 else ''} of unknown duration" if unknown else ""
        return f"; about {duration(seconds)}{more} left"


def duration(seconds: float) -> str:
    """A readable duration: ``40 s``, ``6 min``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
