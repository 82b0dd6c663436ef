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


def test_seeds_are_compared_by_welchs_test_with_holms_correction() -> None:
    # Means 2 and 4, variances 1: t = 2 / √(1/3 + 1/3) = 2.449 with 4 degrees of freedom, so p = 0.0705.
    near, apart = ([2.0, 1.0, 3.0], [4.0, 3.0, 5.0]), ([5.1, 5.0, 4.9], [1.0, 1.1, 0.9])
    found = compare_seeds([near, apart, ([1.0], [2.0]), ([1.0, 1.0], [1.0, 1.0])])
    assert [answer for answer, _ in found] == [None, True, None, None]
    assert found[0][1] == pytest.approx(0.0705, abs=5e-5)
    assert np.isnan(found[2][1]) and np.isnan(found[3][1])
