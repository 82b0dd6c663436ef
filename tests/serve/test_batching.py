"""The queue before the models: what waits is done together, in turn, and all of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from peftir.serve.batching import Batcher


def test_what_comes_while_a_batch_is_done_is_the_next_batch_and_keys_take_turns() -> None:
    started, go_on = threading.Event(), threading.Event()
    batches: list[tuple[str, list[int]]] = []

    def double(key: str, items: list[int]) -> list[int]:
        batches.append((key, items))
        started.set()
        go_on.wait(10)
        return [2 * item for item in items]

    batcher = Batcher(double, most={"a": 3, "b": 4}.__getitem__)
    futures = [batcher.submit("a", 0)]
    assert started.wait(10)
    futures += [batcher.submit(key, item) for item in range(1, 6) for key in ("a", "b")]
    go_on.set()
    assert [future.result(10) for future in futures] == [0] + [2 * n for n in range(1, 6) for _ in "ab"]
    batcher.close()
    assert batches == [("a", [0]), ("a", [1, 2, 3]), ("b", [1, 2, 3, 4]), ("a", [4, 5]), ("b", [5])]


def test_an_error_is_that_of_its_batch_alone() -> None:
    def work(key: str, items: list[Any]) -> list[Any]:
        if key == "bad":
            raise ValueError("damaged")
        return items

    batcher = Batcher(work, most=lambda key: 8)
    for _ in range(3):
        with pytest.raises(ValueError, match="damaged"):
            batcher.submit("bad", 1).result(10)
        assert batcher.submit("good", 1).result(10) == 1
    batcher.close()


def test_closing_waits_for_what_was_submitted_and_takes_no_more() -> None:
    batcher = Batcher(lambda key, items: items, most=lambda key: 1)
    futures = [batcher.submit("key", n) for n in range(100)]
    batcher.close()
    assert [future.result(0) for future in futures] == list(range(100))
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit("key", 1)
