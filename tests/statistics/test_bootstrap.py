"""Bootstrap intervals against all resamples of small samples, and against known errors of large ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from peftir.statistics.bootstrap import RESAMPLES, intervals

# The standard error, in standard deviations, of the quantile of 2.5 %, where the normal density is 0.0584.
OF_A_QUANTILE = np.sqrt(0.025 * 0.975 / RESAMPLES) / 0.0584


def test_an_interval_is_that_of_all_resamples_of_a_small_sample() -> None:
    values = np.array([0.04, -0.07, 0.3, 0.26, -0.2, 0.37])
    low, high = intervals(values[None, None])[0]
    every = np.array(list(itertools.product(values, repeat=6))).mean(axis=1)
    # 10,000 draws of 46,656: the quantiles are off by what a share of 0.0016 (its standard error) makes.
    near = np.quantile(every, [0.025 - 0.005, 0.025 + 0.005, 0.975 - 0.005, 0.975 + 0.005])
    assert near[0] < low < near[1] < near[2] < high < near[3]


def test_an_interval_of_a_large_sample_is_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.02, 0.3, 2000)
    error = values.std(ddof=1) / np.sqrt(2000)
    ends = intervals(values[None, None])[0]
    normal = [values.mean() - 1.96 * error, values.mean() + 1.96 * error]
    assert ends == pytest.approx(normal, abs=3 * OF_A_QUANTILE * error)


def test_seeds_and_queries_both_widen_an_interval() -> None:
    """Where every value is a seed's part plus a query's, the squared errors of both add up."""
    random = np.random.default_rng(3)
    of_seeds, of_queries = random.normal(0, 0.02, (40, 1)), random.normal(0, 0.3, (1, 400))
    low, high = intervals((of_seeds + of_queries)[None])[0]
    error = np.sqrt(of_seeds.var(ddof=1) / 40 + of_queries.var(ddof=1) / 400)
    assert high - low == pytest.approx(2 * 1.96 * error, abs=3 * np.sqrt(2) * OF_A_QUANTILE * error)


def test_few_seeds_spread_as_much_as_they_do() -> None:
    """Seeds alone, three of them: the draws' standard deviation is the standard error, not √(2/3) of it."""
    values = np.repeat([[0.1], [0.2], [0.4]], 50, axis=1)
    low, high = intervals(values[None])[0]
    mean, error = values.mean(), np.std([0.1, 0.2, 0.4], ddof=1) / np.sqrt(3)
    # The extreme draws are three times one seed: 1/27 of all each, more than the 2.5 % of a tail.
    widened = np.sqrt(3 / 2)
    assert (low, high) == pytest.approx((mean + widened * (0.1 - mean), mean + widened * (0.4 - mean)))
    assert (high - low) / 2 > error


def test_systems_are_drawn_alike_and_do_not_touch_each_other() -> None:
    values = np.random.default_rng(4).random((3, 2, 30))
    together = intervals(values)
    assert together == pytest.approx(np.concatenate([intervals(each[None]) for each in values]))


def test_one_query_says_nothing() -> None:
    assert intervals(np.ones((2, 3, 1))).tolist() == [[-np.inf, np.inf]] * 2
