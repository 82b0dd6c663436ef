"""Answers decided by significance tests: yes, no, or not decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from peftir.statistics.comparisons import RowComparison
from peftir.statistics.significance import ALPHA, holm, t_test

MARGIN = 0.01
"""The margin of equivalence in the measure, for claims that two methods are alike."""
ROUNDING = 1e-9
"""The tolerance for equal differences of figures, which have four digits."""
Answer = bool | None
"""Yes, no, or not decided."""
BySeed = dict[int, float]
"""A figure of learning by seed."""


def words(answer: Answer) -> str:
    """The wording of a claim's ``answer``."""
    return {True: "held", False: "not held", None: "not decided"}[answer]


def all_of(answers: Iterable[Answer]) -> Answer:
    """No if any is no; else not decided if any is not decided or there are none; else yes."""
    collected = list(answers)
    if False in collected:
        return False
    return None if None in collected or not collected else True


def any_of(answers: Iterable[Answer]) -> Answer:
    """Yes if any is yes; else not decided if any is not decided or there are none; else no."""
    opposite = all_of(None if answer is None else not answer for answer in answers)
    return None if opposite is None else not opposite


def falls_short(found: RowComparison) -> Answer:
    """Whether the first of two rows is worse than the other.

    Yes if it is significantly worse. No if it is significantly better, or if its 95 % interval excludes a
    difference below −``MARGIN``. Not decided otherwise, or if the rows are equal for every query, as with
    identical models.
    """
    if found.same:
        return None
    if found.significant:
        return found.difference < 0
    return False if found.low >= -MARGIN else None


def why_open(found: RowComparison) -> str:
    """The reason why :func:`falls_short` does not decide ``found``."""
    if found.same:
        return "the same for every query"
    if math.isnan(found.p["two_level"]):
        return "too few queries to test"
    return f"not significant, and a difference above {MARGIN:g} is not excluded"


def why_open_over_seeds(p: float) -> str:
    """The reason why :func:`compare_seeds` does not decide a pair with the p-value ``p``."""
    return "no test with so few seeds" if math.isnan(p) else "not significant over seeds"


def compare_seeds(pairs: Sequence[tuple[BySeed, BySeed]]) -> list[tuple[Answer, float]]:
    """For each pair of figures of learning, return whether the first is larger, and the p-value.

    The test is a paired t-test over the common seeds, with Holm's correction over the pairs. Pairing is valid
    because equal seeds mean equal batches for all variants. Not decided if the test is not significant; the
    p-value is nan with fewer than two seeds, or if the difference is the same for all seeds.
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
