"""Which variants are kinds of one method, and which are of the same size, so that one may beat the other."""

from __future__ import annotations

ALIKE = 1.5  # times as many trained weights that still count as the same budget


def kind(method: str) -> str:
    """What a method is a kind of: IAA for ``iaa_s``, ``iaa_l`` and ``iaa_m``, and each other of itself."""
    return "iaa" if method.startswith("iaa_") else method


def same_budget(weights: int, others: int) -> bool:
    """Whether two numbers of trained weights are one budget: neither is 0, or ``ALIKE`` times the other."""
    return 0 < max(weights, others) < ALIKE * min(weights, others)
