"""How long stages take and how much memory, from what earlier runs have measured."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

UNKNOWN = 10.0  # seconds of a stage of which nothing is known, for the order of the stages


class Estimates:
    """Seconds and memory of stages, by their names; what is not known is that of the like.

    Args:
        measured: for each stage's name what an earlier run says (``metrics/resources``), if there is one.
    """

    def __init__(self, measured: dict[str, dict[str, Any]]) -> None:
        self._seconds: dict[str, float] = {}
        self._memory: dict[str, int] = {}
        self._took: dict[str, float] = {}
        for name, figures in measured.items():
            if isinstance(seconds := figures.get("seconds"), int | float):
                self._seconds[name] = float(seconds)
            if isinstance(memory := figures.get("peak_memory_mb"), int):
                self._memory[name] = memory

    def took(self, name: str, seconds: float) -> None:
        """Learn from this run: what it takes here, with all that runs beside it."""
        self._took[name] = seconds

    def seconds(self, name: str) -> float:
        """What ``name`` will take: as measured, scaled by what this run's stages took of theirs."""
        known = self._seconds.get(name)
        if known is None:
            here = _like(name, self._took)
            if here is not None:
                return here
            known = _like(name, self._seconds) or UNKNOWN
        return known * self._scale()

    def knows(self, name: str) -> bool:
        """Whether a stage of this kind has been measured, in this run or before."""
        return any(_kind(other) == _kind(name) for other in (*self._seconds, *self._took))

    def memory_mb(self, name: str) -> int:
        """The most that ``name``, or one like it, has taken; 0 if nothing is known."""
        alike = [mb for other, mb in self._memory.items() if _kind(other) == _kind(name)]
        return self._memory.get(name) or max(alike, default=0)

    def to_the_end(self, names: Sequence[str], needed_by: Callable[[str], Iterable[str]]) -> dict[str, float]:
        """For each stage the seconds from its start to the end of the longest path that begins with it.

        Args:
            names: in an order in which a stage comes after those that it needs.
            needed_by: the stages that one needs.
        """
        after: dict[str, float] = defaultdict(float)
        paths = {}
        for name in reversed(names):
            paths[name] = self.seconds(name) + after[name]
            for other in needed_by(name):
                after[other] = max(after[other], paths[name])
        return paths

    def _scale(self) -> float:
        both = [name for name in self._took if name in self._seconds]
        expected = sum(self._seconds[name] for name in both)
        return sum(self._took[name] for name in both) / expected if expected > 0 else 1.0


def _kind(name: str) -> str:
    return name.partition("@")[0]


def _like(name: str, known: dict[str, float]) -> float | None:
    alike = [seconds for other, seconds in known.items() if _kind(other) == _kind(name)]
    return statistics.median(alike) if alike else None


def read_figures(*places: Path) -> dict[str, Any]:
    """The first of ``places`` that has a JSON object; an empty one if none has."""
    for place in places:
        try:
            figures = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(figures, dict):
            return figures
    return {}
