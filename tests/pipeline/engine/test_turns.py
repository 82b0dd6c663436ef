from __future__ import annotations

import threading
import time

from peftir.pipeline.engine.turns import Turns

PATIENCE = 60


def test_alone_waits_for_those_that_run_and_goes_before_those_that_ask_later() -> None:
    turns, order = Turns(), []
    first_may_end, first_runs = threading.Event(), threading.Event()

    def first() -> None:
        with turns.shared():
            first_runs.set()
            first_may_end.wait(PATIENCE)
            order.append("first")

    def alone() -> None:
        with turns.exclusive():
            order.append("alone")

    def later() -> None:
        with turns.shared():
            order.append("later")

    threads = [threading.Thread(target=work) for work in (first, alone, later)]
    threads[0].start()
    first_runs.wait(PATIENCE)
    threads[1].start()
    while not turns._exclusive:
        time.sleep(0.001)
    threads[2].start()
    first_may_end.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert order == ["first", "alone", "later"]
