"""The variants that each variant is compared with: baselines, and methods of the same budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SAME_BUDGET = 1.5  # the ratio of trained weights from which budgets differ


class Competitor(NamedTuple):
    """The properties of a variant that determine its comparisons."""

    kind: str
    """See :func:`kind`."""
    trained: int
    """The number of trained weights of the encoder; 0 for an untrained variant."""


def kind(method: str) -> str:
    """The kind of a method: ``iaa`` for ``iaa_s``, ``iaa_l`` and ``iaa_m``, else the method itself."""
    return "iaa" if method.startswith("iaa_") else method


def same_budget(weights: int, others: int) -> bool:
    """Whether two numbers of trained weights are positive and differ by a factor below ``SAME_BUDGET``."""
    return 0 < max(weights, others) < SAME_BUDGET * min(weights, others)


def baselines(competitors: Mapping[str, Competitor], first: str) -> list[str]:
    """The baselines of every trained variant: the untrained variants, or if none the row ``first``."""
    return [name for name, each in competitors.items() if not each.trained] or [first]


def peers(variant: str, competitors: Mapping[str, Competitor]) -> list[str]:
    """The variants of other methods, without full fine-tuning, with the same budget."""
    own = competitors[variant]
    return [
        name
        for name, other in competitors.items()
        if other.kind not in ("full", own.kind) and same_budget(other.trained, own.trained)
    ]
