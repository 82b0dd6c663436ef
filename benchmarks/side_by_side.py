"""Two ways of doing the same work, timed in turns, and the table of their ratios."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

import torch

from peftir.system.files import write_json

Result = TypeVar("Result")


@dataclass(frozen=True)
class Side(Generic[Result]):
    """What one way gave, a value a repeat: things done per second, and their results."""

    rates: list[float]
    results: list[Result]


@dataclass(frozen=True)
class Row:
    """A line of the table: the rates of both sides, and whether they did the same work just as well."""

    what: str
    unit: str
    ours: list[float]
    theirs: list[float]
    same: str

    def summary(self) -> dict[str, Any]:
        """Medians and their ratio, with the lowest and highest rate of each side."""
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return {
            "what": self.what,
            "ours": _rounded(ours),
            "theirs": _rounded(theirs),
            "unit": self.unit,
            "ratio": round(ours / theirs, 2),
            "same": self.same,
            "ours_range": [_rounded(min(self.ours)), _rounded(max(self.ours))],
            "theirs_range": [_rounded(min(self.theirs)), _rounded(max(self.theirs))],
        }


class Stopwatch:
    """Times the steps of a training loop: ``tick`` is called as each step begins.

    Attributes:
        losses: of the steps, where the loop notes them.
    """

    def __init__(self) -> None:
        self._ticks: list[float] = []
        self.losses: list[torch.Tensor] = []

    def tick(self) -> None:
        """Note that a step begins."""
        self._ticks.append(perf_counter())

    @property
    def seconds_per_step(self) -> float:
        """From the beginning of the first step to that of the last; set-up and the last step do not count."""
        return (self._ticks[-1] - self._ticks[0]) / (len(self._ticks) - 1)


def in_turns(repeats: int, *sides: Callable[[int], tuple[float, Result]]) -> list[Side[Result]]:
    """Run all sides ``repeats`` times, in reverse order every other time, so that a slow spell hits all.

    Args:
        repeats: how often.
        sides: each is called with the number of the repeat, from 0; gives a rate and a result.
    """
    found: list[list[tuple[float, Result]]] = [[] for _ in sides]
    for repeat in range(repeats):
        for number in range(len(sides))[:: 1 if repeat % 2 == 0 else -1]:
            found[number].append(sides[number](repeat))
    return [Side([rate for rate, _ in one], [result for _, result in one]) for one in found]


def timed(amount: int, work: Callable[[], Result]) -> tuple[float, Result]:
    """``amount`` divided by the seconds that ``work`` takes, and what it gives."""
    start = perf_counter()
    result = work()
    return amount / (perf_counter() - start), result


def report(rows: list[Row], path: Path) -> None:
    """Print ``rows`` as a table and write them to ``path``."""
    summaries = [row.summary() for row in rows]
    print(f"\n{machine()}\n")
    print(f"{'':<26}{'ours':>20}{'theirs':>20}  {'':<12}{'ratio':>5}  same?")
    for s in summaries:
        ours, theirs = (
            f"{s[side]:g} ({s[f'{side}_range'][0]:g}–{s[f'{side}_range'][1]:g})"
            for side in ("ours", "theirs")
        )
        print(f"{s['what']:<26}{ours:>20}{theirs:>20}  {s['unit']:<12}{s['ratio']:>5.2f}  {s['same']}")
    write_json(path, {"machine": machine(), "rows": summaries})
    print(f"\n{path} has these figures")


def machine() -> str:
    """What the figures were taken on."""
    if torch.cuda.is_available():
        processor = torch.cuda.get_device_name()
    else:
        processor = f"{_processor()}, {torch.get_num_threads()} threads"
    return f"{processor}, Python {platform.python_version()}, torch {torch.__version__}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
