"""One thread that does the work of many: what they ask for meanwhile is done together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

Work = Callable[[Any, list[Any]], list[Any]]
"""Takes a key and the items that were submitted under it; gives a result for each, in their order."""


class Batcher:
    """A queue and the thread that empties it: the items of one key are done in batches.

    No item waits for others to come: a batch is what has come while the thread was busy. Keys take turns, the
    longest waiting first, so that one key's items cannot hold up the others.

    Args:
        work: what is done with a batch.
        most: gives the number of items in a batch of a key.
    """

    def __init__(self, work: Work, most: Callable[[Any], int]) -> None:
        self._work = work
        self._most = most
        self._waiting: dict[Hashable, list[tuple[Any, Future[Any]]]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    def submit(self, key: Hashable, item: Any) -> Future[Any]:
        """Let ``item`` be done; the result or the exception is the future's."""
        future: Future[Any] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._waiting.setdefault(key, []).append((item, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Take no more items; what has been submitted is still done, and waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            key, jobs = batch
            items, futures = [item for item, _ in jobs], [future for _, future in jobs]
            try:
                for future, result in zip(futures, self._work(key, items), strict=True):
                    future.set_result(result)
            except BaseException as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)

    def _next(self) -> tuple[Hashable, list[tuple[Any, Future[Any]]]] | None:
        """The next batch, as soon as there is one; ``None`` once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            key = next(iter(self._waiting))
            jobs = self._waiting.pop(key)
            most = self._most(key)
            if rest := jobs[most:]:
                self._waiting[key] = rest  # behind the other keys
            return key, jobs[:most]
