"""Yes, no and not decided: from a comparison, from seeds, and from other answers."""

from __future__ import annotations

import numpy as np
import pytest

from peftir.report.answers import all_of, any_of, compare_seeds, falls_short
from peftir.statistics.comparisons import TESTS, RowComparison


def comparison(difference: float, low: float, high: float, p: float) -> RowComparison:
    by_test = dict.fromkeys(TESTS, p)
    return RowComparison(difference, low, high, by_test, by_test)


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (comparison(-0.02, -0.03, -0.01, 0.01), True),
        (comparison(-0.004, -0.006, -0.002, 0.01), True),  # small, but there
        (comparison(0.02, 0.01, 0.03, 0.01), False),
        (comparison(-0.002, -0.009, 0.005, 0.9), False),  # at most 0.01 worse
        (comparison(-0.02, -0.03, -0.01, 0.06), None),
        (comparison(0.0, -0.02, 0.02, 1.0), None),
        (comparison(-0.02, -np.inf, np.inf, np.nan), None),
    ],
)
def test_short_is_what_is_worse_by_the_test_and_not_short_what_is_hardly_worse(
    found: RowComparison, answer: bool | None
) -> None:
    assert falls_short(found) is answer


def test_answers_add_up() -> None:
    assert [all_of([True, True]), all_of([True, None]), all_of([None, False]), all_of([])] == [
        True,
        None,
        False,
        None,
    ]
    assert [any_of([False, True]), any_of([False, None]), any_of([False, False]), any_of([])] == [
        True,
        None,
        False,
        None,
    ]


def test_figures_are_compared_seed_by_seed_with_holms_correction() -> None:
    # Differences −1, −2 and −3: t = −2 / (1 / √3) = −3.464 with 2 degrees of freedom, so p = 0.0742.
    near = {13: 2.0, 14: 5.0, 15: 1.0}, {15: 4.0, 13: 3.0, 14: 7.0, 16: 0.0}
    # 0.1, 0.1 and 0.2 while the seeds are 9 apart: t = 0.1333 / 0.0333 = 4 exactly, so p = 0.0572.
    steady = {13: 1.1, 14: 5.1, 15: 10.2}, {13: 1.0, 14: 5.0, 15: 10.0}
    apart = {13: 5.1, 14: 5.0, 15: 4.9}, {13: 1.0, 14: 1.1, 15: 0.9}
    one, same, shifted = (
        ({13: 1.0}, {13: 2.0}),
        ({13: 1.0, 14: 2.0},) * 2,
        ({1: 0.3, 2: 0.4}, {1: 0.1, 2: 0.2}),
    )
    found = compare_seeds([near, steady, apart, one, same, shifted])
    assert [answer for answer, _ in found] == [None, None, True, None, None, None]
    # Holm's factors are 3, 2 and 1 for the p-values of apart, steady and near.
    assert found[1][1] == pytest.approx(2 * 0.0572, abs=1e-4) == found[0][1]
    assert all(np.isnan(p) for _, p in found[3:])
    (alone,) = compare_seeds([near])
    assert alone[1] == pytest.approx(0.0742, abs=5e-5)
