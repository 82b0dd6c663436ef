"""Work that runs together, and work that has to run alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Who asks to be alone waits for those that run together; those that ask after that wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._alone = 0  # that run or wait

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run when nothing else does."""
        with self._changed:
            self._alone += 1
            self._changed.wait_for(lambda: not self._together)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._alone -= 1
                self._changed.notify_all()
