"""Which variants are kinds of one method, and which are of the same size, so that one may beat the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from peftir.study.rows import BM25

ALIKE = 1.5  # times as many trained weights that still count as the same budget


class Competitor(NamedTuple):
    """What decides which others a variant is compared with."""

    kind: str
    """See :func:`kind`."""
    trained: int
    """The number of trained weights of the encoder; 0 for an untrained one."""


def kind(method: str) -> str:
    """What a method is a kind of: IAA for ``iaa_s``, ``iaa_l`` and ``iaa_m``, and each other of itself."""
    return "iaa" if method.startswith("iaa_") else method


def same_budget(weights: int, others: int) -> bool:
    """Whether two numbers of trained weights are one budget: neither is 0, or ``ALIKE`` times the other."""
    return 0 < max(weights, others) < ALIKE * min(weights, others)


def baselines(competitors: Mapping[str, Competitor]) -> list[str]:
    """The rows that every trained variant is compared with: those of untrained variants, or else BM25's."""
    return [name for name, each in competitors.items() if not each.trained] or [BM25.name]


def peers(variant: str, competitors: Mapping[str, Competitor]) -> list[str]:
    """The variants of other methods, full fine-tuning aside, that train about as many weights."""
    own = competitors[variant]
    return [
        name
        for name, other in competitors.items()
        if other.kind not in ("full", own.kind) and same_budget(other.trained, own.trained)
    ]
