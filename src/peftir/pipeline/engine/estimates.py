"""Estimates of the stages' duration and memory, from the measurements of earlier runs."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

UNKNOWN = 10.0  # seconds assumed for a stage without measurements


class Estimates:
    """Estimated seconds and memory by stage name; an unmeasured stage is estimated from others of its kind.

    Args:
        measured: the contents of ``metrics/resources`` from an earlier run, by stage name.
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
        """Record a stage's duration in this run."""
        self._took[name] = seconds

    def seconds(self, name: str) -> float:
        """Expected seconds of ``name``: the earlier measurement, scaled by this run's speed so far."""
        known = self._seconds.get(name)
        if known is None:
            current = _median_of_kind(name, self._took)
            if current is not None:
                return current
            known = _median_of_kind(name, self._seconds) or UNKNOWN
        return known * self._scale()

    def knows(self, name: str) -> bool:
        """Whether a stage of this kind has been measured, in this run or an earlier one."""
        return any(_kind(other) == _kind(name) for other in (*self._seconds, *self._took))

    def memory_mb(self, name: str) -> int:
        """Peak memory in MB of ``name``, or else the maximum of its kind; 0 if unknown."""
        alike = [mb for other, mb in self._memory.items() if _kind(other) == _kind(name)]
        return self._memory.get(name) or max(alike, default=0)

    def remaining_paths(
        self, names: Sequence[str], needed_by: Callable[[str], Iterable[str]]
    ) -> dict[str, float]:
        """Seconds of the longest path that starts with each stage, by stage name.

        Args:
            names: in topological order, dependencies first.
            needed_by: returns the dependencies of a stage.
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


def _median_of_kind(name: str, known: dict[str, float]) -> float | None:
    alike = [seconds for other, seconds in known.items() if _kind(other) == _kind(name)]
    return statistics.median(alike) if alike else None


def read_figures(*files: Path) -> dict[str, Any]:
    """The JSON object in the first of the files that has one; empty if none has."""
    for file in files:
        try:
            figures = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(figures, dict):
            return figures
    return {}
