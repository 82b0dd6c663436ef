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


def numbers(stage: StageStudy, learning: Figures, name: str, figure: str) -> dict[int, float]:
    """A figure of learning by seed, of those whose is known: the mean of the seed's folds, if there are any.

    Folds share most of their queries, so they are no independent trainings.
    """
    known: dict[int, list[float]] = {}
    if values := learning.get(name, {}).get(figure, []):
        for entry, value in zip(stage.trainings, values, strict=True):
            if value is not None:
                known.setdefault(draw(entry).number, []).append(value)
    return {seed: mean(of) for seed, of in known.items()}


def average(by_seed: dict[int, float]) -> Told:
    """The mean of a figure of learning over seeds."""
    values = by_seed.values()
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
