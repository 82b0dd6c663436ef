"""The power formula against the real test on simulated studies, and components worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from peftir.statistics.power import (
    VarianceComponents,
    needed,
    power_to_differ,
    power_to_match,
    variance_components,
)
from peftir.statistics.significance import two_level_test

STUDIES = 400
PARTS = VarianceComponents(queries=0.04, seeds=0.0004, interaction=0.02)


def test_components_are_those_worked_out_by_hand() -> None:
    # Queries' means 1, 3 and 8, seeds' means 3 and 5; the rest is 0, −1 and 1, and the opposite.
    values = np.array([[0.0, 1.0, 8.0], [2.0, 5.0, 8.0]])
    assert (values.mean(axis=0).tolist(), values.mean(axis=1).tolist()) == ([1, 3, 8], [3, 5])
    rest = 4 / (1 * 2)  # the sum of squares over (S − 1) · (Q − 1)
    # Variances of the means: 13 of 1, 3 and 8, and 2 of 3 and 5.
    by_hand = VarianceComponents(13 - rest / 2, 2 - rest / 3, rest)
    found = variance_components([values])
    assert (found.queries, found.seeds, found.interaction) == pytest.approx(
        (by_hand.queries, by_hand.seeds, by_hand.interaction)
    )
    # Of several pairs it is the mean; a pair that does not vary halves it.
    half = variance_components([values, np.zeros((2, 3))])
    assert (half.queries, half.seeds) == pytest.approx((by_hand.queries / 2, by_hand.seeds / 2))


def test_components_of_large_samples_are_the_true_ones() -> None:
    random = np.random.default_rng(1)
    studies, seeds, queries = 20, 40, 300
    found = variance_components(study(random, seeds, queries, 0.0) for _ in range(studies))

    def estimate(part: float, of_means: float, degrees: int) -> object:
        """Up to three standard errors of a variance of means, of which ``part`` is to be estimated."""
        return pytest.approx(part, abs=3 * of_means * np.sqrt(2 / (studies * degrees)))

    rest = PARTS.interaction
    assert found.queries == estimate(PARTS.queries, PARTS.queries + rest / seeds, queries - 1)
    assert found.seeds == estimate(PARTS.seeds, PARTS.seeds + rest / queries, seeds - 1)
    assert found.interaction == estimate(rest, rest, (seeds - 1) * (queries - 1))


def study(random: np.random.Generator, seeds: int, queries: int, difference: float) -> np.ndarray:
    """Differences of two systems with the variances ``PARTS``."""
    return (
        difference
        + random.normal(0, PARTS.queries**0.5, (1, queries))
        + random.normal(0, PARTS.seeds**0.5, (seeds, 1))
        + random.normal(0, PARTS.interaction**0.5, (seeds, queries))
    )


def near(power: float) -> object:
    """What a share of ``STUDIES`` may be, up to three standard errors."""
    return pytest.approx(power, abs=3 * np.sqrt(power * (1 - power) / STUDIES) + 1e-9)


@pytest.mark.parametrize(
    ("seeds", "queries", "difference"),
    [(3, 400, 0.04), (3, 400, 0.08), (5, 200, 0.05), (5, 2000, 0.03), (10, 60, 0.06), (20, 400, 0.03)],
)
def test_power_is_the_share_of_simulated_studies_in_which_the_real_test_finds_it(
    seeds: int, queries: int, difference: float
) -> None:
    random = np.random.default_rng([seeds, queries])
    floor = PARTS.seeds / seeds + PARTS.interaction / (seeds * queries)
    trials = [study(random, seeds, queries, difference) for _ in range(STUDIES)]
    share = np.mean([two_level_test(each, floor).p <= 0.05 for each in trials])
    assert share == near(power_to_differ(PARTS, seeds, queries, difference))


@pytest.mark.parametrize(("seeds", "queries", "margin"), [(3, 400, 0.07), (5, 400, 0.04), (20, 400, 0.03)])
def test_equal_systems_are_called_alike_as_often_as_in_simulated_studies(
    seeds: int, queries: int, margin: float
) -> None:
    random = np.random.default_rng([seeds, queries, 1])
    floor = PARTS.seeds / seeds + PARTS.interaction / (seeds * queries)

    def alike(values: np.ndarray) -> bool:
        """By two one-sided tests, each of half the two-tailed p-value."""
        above, below = two_level_test(values + margin, floor), two_level_test(values - margin, floor)
        return above.mean > 0 > below.mean and max(above.p, below.p) / 2 <= 0.05

    share = np.mean([alike(study(random, seeds, queries, 0.0)) for _ in range(STUDIES)])
    power = power_to_match(PARTS, seeds, queries, margin)
    assert 0.1 < power < 1 and share == near(power)


def test_without_seeds_and_interaction_it_is_the_textbook_number_of_pairs() -> None:
    """A paired t-test needs 34 pairs for half a standard deviation (Cohen 1988, table 2.4.1)."""
    alone = VarianceComponents(queries=1.0, seeds=0.0, interaction=0.0)
    found = needed(lambda queries: power_to_differ(alone, 50, queries, 0.5))
    assert found in (33, 34)
    # (1.960 + 0.842)² / 0.02² = 19,622 to differ, and (1.645 + 1.282)² / 0.02² = 21,410 to match.
    to_differ = needed(lambda queries: power_to_differ(alone, 50, queries, 0.02))
    to_match = needed(lambda queries: power_to_match(alone, 50, queries, 0.02))
    assert (to_differ, to_match) == (pytest.approx(19_622, rel=1e-3), pytest.approx(21_410, rel=1e-3))


def test_never_is_where_the_other_component_alone_is_too_large() -> None:
    # Any number of seeds leaves √(0.04 / 400) = 0.01 over queries; 2.8 times that is needed.
    assert needed(lambda seeds: power_to_differ(PARTS, seeds, 400, 0.027)) is None
    assert needed(lambda seeds: power_to_differ(PARTS, seeds, 400, 0.029)) is not None
    # Any number of queries leaves √(0.0004 / 5) = 0.009 over seeds.
    assert needed(lambda queries: power_to_differ(PARTS, 5, queries, 0.02)) is None


def test_a_smaller_alpha_and_a_smaller_difference_need_more() -> None:
    def seeds(difference: float, alpha: float) -> int:
        found = needed(lambda count: power_to_differ(PARTS, count, 2000, difference, alpha))
        assert found is not None
        return found

    assert seeds(0.03, 0.05) < seeds(0.02, 0.05) < seeds(0.02, 0.005)
