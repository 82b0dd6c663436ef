"""Yes, no, or not decided: what tests say to a question, and how answers add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from peftir.statistics.comparisons import RowComparison
from peftir.statistics.significance import ALPHA, holm, t_test

MARGIN = 0.01
"""A difference in the measure below this is taken for none where a claim says that two methods are alike."""
ROUNDING = 1e-9
"""Differences of figures, which have four digits, that differ by less are equal."""
Answer = bool | None
"""Yes, no, or not decided."""
BySeed = dict[int, float]
"""A figure of learning by seed."""


def words(answer: Answer) -> str:
    """``answer`` as it is said of a claim."""
    return {True: "held", False: "not held", None: "not decided"}[answer]


def all_of(answers: Iterable[Answer]) -> Answer:
    """No if one is no; not decided if one is not, or if there is none; else yes."""
    given = list(answers)
    if False in given:
        return False
    return None if None in given or not given else True


def any_of(answers: Iterable[Answer]) -> Answer:
    """Yes if one is yes; not decided if one is not, or if there is none; else no."""
    opposite = all_of(None if answer is None else not answer for answer in answers)
    return None if opposite is None else not opposite


def falls_short(found: RowComparison) -> Answer:
    """Whether the first of two rows is worse than the other.

    Yes if significantly so; no if significantly better, or by its 95 % interval at most ``MARGIN`` worse. Not
    decided where the two are the same for every query, as rows are that are one model.
    """
    if found.same:
        return None
    if found.significant:
        return found.difference < 0
    return False if found.low >= -MARGIN else None


def why_open(found: RowComparison) -> str:
    """Why :func:`falls_short` decides nothing of ``found``."""
    if found.same:
        return "the same for every query"
    if math.isnan(found.p["two_level"]):
        return "too few queries to test"
    return f"not significant, and a difference above {MARGIN:g} is not excluded"


def why_open_over_seeds(p: float) -> str:
    """Why :func:`compare_seeds`, which found ``p``, decides nothing."""
    return "no test with so few seeds" if math.isnan(p) else "not significant over seeds"


def compare_seeds(pairs: Sequence[tuple[BySeed, BySeed]]) -> list[tuple[Answer, float]]:
    """For each pair of figures of learning: whether the first is larger, and the p-value of that.

    The paired t-test over the seeds that both have, since a seed stands for the same batches for every
    variant, corrected after Holm over the pairs. Not decided where it is not significant; the p-value is nan
    with fewer than two seeds, or where all seeds differ by the same.
    """
    differences = [
        np.array([one[seed] - other[seed] for seed in one if seed in other]) for one, other in pairs
    ]
    raw = [
        t_test(each[None]).p if len(each) > 1 and np.ptp(each) > ROUNDING else math.nan
        for each in differences
    ]
    return [
        (bool(each.mean() > 0) if p <= ALPHA else None, p)
        for each, p in zip(differences, holm(raw), strict=True)
    ]
