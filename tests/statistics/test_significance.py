"""The tests against scipy's, worked examples, and what they give where there is nothing to find."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from peftir.statistics.significance import (
    Difference,
    error_over_seeds,
    holm,
    randomization_test,
    t_test,
    two_level_test,
)

# Reciprocal ranks of two systems for the same nine queries.
ONE = np.array([1, 0.5, 1, 0.25, 0, 1, 0.5, 0.2, 1])
OTHER = np.array([0.5, 0.5, 1, 0.2, 0.1, 0.5, 0.25, 0.2, 0.25])


def alone(values: np.ndarray) -> np.ndarray:
    """Differences of one seed."""
    return np.asarray(values, float)[None]


def test_t_test_is_scipys() -> None:
    found = t_test(alone(ONE - OTHER))
    expected = stats.ttest_rel(ONE, OTHER)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.mean == pytest.approx((ONE - OTHER).mean())


def test_t_test_takes_a_querys_mean_over_the_seeds() -> None:
    seeds = np.stack([ONE - OTHER, OTHER**2 - 0.3, 0.6 - ONE])
    assert t_test(seeds).p == pytest.approx(stats.ttest_1samp(seeds.mean(axis=0), 0).pvalue, rel=1e-9)


def test_randomization_test_of_few_queries_is_scipys_and_exact() -> None:
    columns = np.stack([ONE - OTHER, OTHER - ONE[::-1], np.zeros(9)], axis=1)
    expected = [
        stats.permutation_test((column, np.zeros(9)), lambda x, y: np.mean(x - y), permutation_type="samples")
        for column in columns.T
    ]
    assert randomization_test(columns) == pytest.approx([each.pvalue for each in expected])
    # By hand: the sum is as large as 1 + 1/2 + 1/4 only if all three signs are alike, 2 of 8 flips.
    assert randomization_test(np.array([[1.0], [0.5], [0.25]])) == pytest.approx([2 / 8])


def test_randomization_test_of_many_queries_is_near_scipys() -> None:
    random = np.random.default_rng(5)
    column = random.normal(0.1, 1, 300)
    expected = stats.permutation_test(
        (column, np.zeros(300)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        vectorized=True,
        rng=random,
    ).pvalue
    error = np.sqrt(2 * expected * (1 - expected) / 10_000)  # of the difference of two such shares
    assert 0.01 < expected < 0.5
    assert randomization_test(column[:, None])[0] == pytest.approx(expected, abs=4 * error)
    # No smaller than what the flips tried can show.
    assert randomization_test(np.ones((300, 1))) == pytest.approx([1 / 10_001])


def test_two_levels_add_the_error_over_seeds_to_that_over_queries() -> None:
    differences = np.array([[0.3, 0.1, 0.2, 0.4], [0.0, 0.2, 0.1, 0.1]])
    # The seeds' means are 0.25 and 0.1, the queries' 0.15, 0.15, 0.15 and 0.25.
    over_seeds = (0.075**2 + 0.075**2) / 1 / 2
    over_queries = (3 * 0.025**2 + 0.075**2) / 3 / 4
    t = 0.175 / np.sqrt(over_seeds + over_queries)
    freedom = (over_seeds + over_queries) ** 2 / (over_seeds**2 / 1 + over_queries**2 / 3)
    found = two_level_test(differences)
    assert (found.mean, found.p) == pytest.approx((0.175, 2 * stats.t.sf(t, freedom)))
    assert error_over_seeds(differences) == pytest.approx(over_seeds)
    assert two_level_test(differences, at_least=over_seeds / 2) == found
    assert two_level_test(differences, at_least=over_seeds * 2).p > found.p


def test_the_interval_ends_where_the_test_says_five_percent() -> None:
    differences = np.random.default_rng(2).normal(0.2, 1, (3, 40))
    found = two_level_test(differences)
    for end in (found.low, found.high):
        assert two_level_test(differences - end).p == pytest.approx(0.05)


def test_with_one_seed_two_levels_are_the_t_test() -> None:
    assert two_level_test(alone(ONE - OTHER), at_least=1.0) == t_test(alone(ONE - OTHER))
    assert error_over_seeds(alone(ONE - OTHER)) == 0


def test_what_does_not_vary_is_certain_and_what_is_alone_is_not_known() -> None:
    assert two_level_test(np.zeros((3, 5))) == Difference(0, 0, 0, 1)
    same = two_level_test(np.full((3, 5), 0.1))
    assert (same.low, same.high, same.p) == (pytest.approx(0.1), pytest.approx(0.1), 0)
    lone = two_level_test(np.array([[0.1]]))
    assert (lone.low, lone.high) == (-np.inf, np.inf) and np.isnan(lone.p)


def test_holm_on_a_worked_example() -> None:
    # Sorted: 0.005 × 4 = 0.02; 0.01 × 3 = 0.03; 0.03 × 2 = 0.06; 0.04 × 1 = 0.04, raised to the 0.06 before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1, 1]
    corrected = holm([np.nan, 0.02, 0.5])
    assert np.isnan(corrected[0]) and corrected[1:] == pytest.approx([0.04, 0.5])
    assert holm([]) == []


TRIALS, QUERIES = 2000, 60
# Of the share of TRIALS in which a test with a level of 5 % finds something by chance.
ERROR = np.sqrt(0.05 * 0.95 / TRIALS)


def test_one_in_twenty_null_differences_is_found() -> None:
    random = np.random.default_rng(8)
    trials = random.normal(0, 1, (TRIALS, 1, QUERIES))
    assert np.mean([t_test(each).p <= 0.05 for each in trials]) == pytest.approx(0.05, abs=3 * ERROR)
    found = randomization_test(trials[:, 0].T) <= 0.05
    assert found.mean() == pytest.approx(0.05, abs=3 * ERROR)


@pytest.mark.parametrize("seeds_apart", [0, 0.1, 0.3])
def test_seeds_that_differ_do_not_pass_for_methods_that_differ(seeds_apart: float) -> None:
    """Of six methods that are alike, three seeds each: two levels keep to 5 % of families with an error."""
    random = np.random.default_rng(9)
    families = 400
    errors = {"two levels": 0, "queries alone": 0}
    for _ in range(families):
        values = random.normal(0, 1, (6, 3, QUERIES)) + random.normal(0, 1, (6, 1, QUERIES))
        values += random.normal(0, seeds_apart, (6, 3, 1))
        pairs = [one - other for one, other in itertools.combinations(values, 2)]
        shared = np.mean([error_over_seeds(pair) for pair in pairs])
        errors["two levels"] += min(holm([two_level_test(pair, shared).p for pair in pairs])) <= 0.05
        errors["queries alone"] += min(holm([t_test(pair).p for pair in pairs])) <= 0.05
    assert errors["two levels"] / families <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / families)
    assert (errors["queries alone"] / families > 0.2) == (seeds_apart == 0.3)


def test_a_difference_as_large_as_a_methods_is_found_with_three_seeds() -> None:
    random = np.random.default_rng(11)
    differences = random.normal(0.05, 0.2, (3, 500)) + random.normal(0, 0.003, (3, 1))
    assert two_level_test(differences, at_least=0.002**2).p < 1e-4


def test_holm_keeps_the_rate_of_any_error_in_a_family() -> None:
    random = np.random.default_rng(10)
    families = random.random((TRIALS, 20))
    wrong = [min(holm(family)) <= 0.05 for family in families]
    assert np.mean(wrong) <= 0.05 + 3 * ERROR
