"""How fast and how steadily: worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from peftir.learning.convergence import (
    Target,
    area_under_curve,
    failed,
    first_step_at,
    total_decrease,
    total_increase,
)

DEV = pd.Series([0.2, 0.5, 0.4, 0.6], index=[0, 10, 20, 30])


def test_the_target_is_the_mean_over_seeds_of_the_start_and_of_the_best() -> None:
    target = Target.of([DEV, pd.Series([0.4, 0.8, 0.6], index=[0, 10, 20])])
    assert (target.start, target.best) == (pytest.approx(0.3), pytest.approx(0.7))
    assert target.share_of_gain(0.5) == pytest.approx(0.5)
    assert target.share_of_best(0.5) == pytest.approx(0.35)


def test_without_a_gain_there_is_no_share_of_it() -> None:
    assert Target(0.6, 0.6).share_of_gain(0.9) is None


def test_a_level_is_reached_at_the_first_point_that_has_it() -> None:
    assert [first_step_at(DEV, level) for level in (0.2, 0.4, 0.5, 0.55, 0.6, 0.7, None)] == [
        0,
        10,
        10,
        30,
        30,
        None,
        None,
    ]


def test_the_mean_height_is_the_area_over_the_steps() -> None:
    # Trapezoids of 10 steps each: 3.5 + 4.5 + 5.0 = 13 over 30 steps.
    assert area_under_curve(DEV) == pytest.approx(13 / 30)
    uneven = pd.Series([0.0, 1.0, 1.0], index=[0, 2, 10])
    assert area_under_curve(uneven) == pytest.approx((1 + 8) / 10)


def test_climbs_and_falls_add_up_what_goes_up_and_what_goes_down() -> None:
    assert total_increase(DEV) == pytest.approx(0.5)
    assert total_decrease(DEV) == pytest.approx(0.1)
    assert total_increase(pd.Series([2.0, 1.0, 0.5])) == 0
    assert total_increase(pd.Series([2.0])) == 0


def test_a_run_that_ends_below_its_start_has_failed_however_good_it_was_between() -> None:
    assert failed(pd.Series([0.5, 0.9, 0.4]))
    assert not failed(pd.Series([0.5, 0.1, 0.5]))
