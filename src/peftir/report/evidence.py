"""The numbers behind what a stage says to a claim: a table, and what has to be said beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, NamedTuple

from peftir.report.study import StageStudy
from peftir.statistics.comparisons import RowComparison, signed
from peftir.study.seeds import draw

Figures = dict[str, dict[str, Any]]
"""Figures of learning by variant and name: a list, a number a model, ``None`` where there is none."""


class Told(NamedTuple):
    """A value as it is shown, and the number to sort it by, if it is one."""

    text: str
    number: float | None = None


NOT_TESTED = Told("–")


@dataclass(frozen=True)
class Evidence:
    """A table, whose lines are about a variant each and have a value a column, and notes."""

    columns: list[str] = field(default_factory=list)
    groups: dict[str, dict[str, list[Told]]] = field(default_factory=dict)
    """Values by variant, by the title of their group, which is empty if there is but one."""
    notes: list[str] = field(default_factory=list)


def difference(found: RowComparison) -> list[Told]:
    """A difference of two rows, its 95 % interval, and its p-value with queries and seeds as chance."""
    return [
        Told(signed(found.difference), found.difference),
        Told(found.interval, found.low),
        p_value(found, "two_level"),
    ]


def p_value(found: RowComparison, test: str) -> Told:
    """The corrected p-value of ``test``; none where the rows are the same for every query."""
    return probability(math.nan if found.same else found.corrected[test])


def probability(value: float) -> Told:
    """A p-value, nan where there could be no test."""
    if math.isnan(value):
        return Told("no test")
    return Told("< 0.001" if value < 0.001 else f"{value:.3f}", value)


def numbers(stage: StageStudy, learning: Figures, name: str, figure: str) -> list[float]:
    """A figure of learning, a number a seed: the mean of its folds, which share most of their queries."""
    values = learning.get(name, {}).get(figure, [])
    if stage.single == "fold":
        of_seed = [(draw(entry).number, value) for entry, value in zip(stage.trainings, values, strict=True)]
        by_seed = {seed: [value for of, value in of_seed if of == seed] for seed in stage.seeds}
        values = [_mean_of_known(folds) for folds in by_seed.values()]
    return [value for value in values if value is not None]


def average(values: list[float]) -> Told:
    """The mean of a figure of learning over seeds."""
    return Told(f"{mean(values):#.3g}".rstrip("."), mean(values)) if values else Told("unknown")


def steps_to_full(learning: Figures, name: str) -> Told:
    """The steps to 95 % of full fine-tuning's gain, and how many models get so far, if not all.

    ``300–420``, ``360, 1 of 3`` or ``never``.
    """
    steps = learning.get(name, {}).get("steps_to", {}).get("0.95", [])
    reached = [step for step in steps if step is not None]
    if not reached:
        return Told("never" if steps else "unknown")
    few, many = min(reached), max(reached)
    told = f"{few:,}" if few == many else f"{few:,}–{many:,}"
    return Told(told if len(reached) == len(steps) else f"{told}, {len(reached)} of {len(steps)}", few)


def _mean_of_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None
