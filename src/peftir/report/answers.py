"""Yes, no, or not decided: what tests say to a question, and how answers add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import mean

from scipy import stats

from peftir.statistics.comparisons import RowComparison
from peftir.statistics.significance import ALPHA, holm

MARGIN = 0.01
"""A difference in the measure below this is taken for none where a claim says that two methods are alike."""
Answer = bool | None
"""Yes, no, or not decided."""


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
    if math.isnan(found.corrected["two_level"]):
        return "too few queries to test"
    return f"not significant, and a difference above {MARGIN:g} is not excluded"


def why_open_over_seeds(p: float) -> str:
    """Why :func:`compare_seeds`, which found ``p``, decides nothing."""
    return "no test with so few seeds" if math.isnan(p) else "not significant over seeds"


def compare_seeds(pairs: Sequence[tuple[list[float], list[float]]]) -> list[tuple[Answer, float]]:
    """For each pair of figures, a number a seed: whether the first are larger, and the p-value of that.

    Welch's t-test over seeds, corrected after Holm over the pairs; not decided where it is not significant,
    and nan with fewer than two seeds, or where nothing varies.
    """
    raw = [
        float(stats.ttest_ind(one, other, equal_var=False).pvalue)
        if min(len(one), len(other)) > 1 and len({*one}) + len({*other}) > 2
        else math.nan
        for one, other in pairs
    ]
    return [
        (mean(one) > mean(other) if p <= ALPHA else None, p)
        for (one, other), p in zip(pairs, holm(raw), strict=True)
    ]
