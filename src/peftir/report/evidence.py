"""The evidence for a stage's answer to a claim: a table and notes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, NamedTuple

from peftir.report.study import StageResults
from peftir.statistics.comparisons import RowComparison, signed
from peftir.study.seeds import draw

Figures = dict[str, dict[str, Any]]
"""Figures of learning by variant and name: lists with one number per model, ``None`` for unknown ones."""


class ReportedValue(NamedTuple):
    """The text of a value, and the number to sort it by, if any."""

    text: str
    number: float | None = None


NOT_TESTED = ReportedValue("–")


@dataclass(frozen=True)
class Evidence:
    """A table with one line per variant, and notes."""

    columns: list[str] = field(default_factory=list)
    groups: dict[str, dict[str, list[ReportedValue]]] = field(default_factory=dict)
    """The values of each variant, by the title of their group; the title of a single group is empty."""
    notes: list[str] = field(default_factory=list)


def difference(found: RowComparison) -> list[ReportedValue]:
    """A difference of two rows, its 95 % interval, and the p-value of the two-level test."""
    return [
        ReportedValue(signed(found.difference), found.difference),
        ReportedValue(found.interval, found.low),
        p_value(found, "two_level"),
    ]


def p_value(found: RowComparison, test: str) -> ReportedValue:
    """The corrected p-value of ``test``; none if the rows are the same for every query."""
    return probability(math.nan if found.same else found.corrected[test])


def probability(value: float) -> ReportedValue:
    """A p-value; nan if there was no test."""
    if math.isnan(value):
        return ReportedValue("no test")
    return ReportedValue("< 0.001" if value < 0.001 else f"{value:.3f}", value)


def numbers(stage: StageResults, learning: Figures, name: str, figure: str) -> dict[int, float]:
    """A figure of learning by seed, without unknown values; with folds, the mean over the seed's folds.

    Folds share most of their train queries, so they are not independent trainings.
    """
    known: dict[int, list[float]] = {}
    if values := learning.get(name, {}).get(figure, []):
        for entry, value in zip(stage.trainings, values, strict=True):
            if value is not None:
                known.setdefault(draw(entry).number, []).append(value)
    return {seed: mean(values) for seed, values in known.items()}


def average(by_seed: dict[int, float]) -> ReportedValue:
    """The mean of a figure of learning over seeds."""
    values = by_seed.values()
    return (
        ReportedValue(f"{mean(values):#.3g}".rstrip("."), mean(values))
        if values
        else ReportedValue("unknown")
    )


def steps_to_full(learning: Figures, name: str) -> ReportedValue:
    """The steps to 95 % of full fine-tuning's gain, and the number of models that reach it, if not all.

    ``300–420``, ``360, 1 of 3`` or ``never``.
    """
    steps = learning.get(name, {}).get("steps_to", {}).get("0.95", [])
    reached = [step for step in steps if step is not None]
    if not reached:
        return ReportedValue("never" if steps else "unknown")
    few, many = min(reached), max(reached)
    text = f"{few:,}" if few == many else f"{few:,}–{many:,}"
    if len(reached) < len(steps):
        text += f", {len(reached)} of {len(steps)}"
    return ReportedValue(text, few)
