"""Power analysis: seeds and test queries needed to find a difference of two systems, or their equivalence.

A difference of two systems is modelled as the sum of effects of the query, of the seed and of their
interaction, with variances s_q², s_s² and s_qs². The mean over S seeds and Q queries has the variance

    V = s_q² / Q + s_s² / S + s_qs² / (Q · S).

:func:`peftir.statistics.two_level_test` estimates it as E + W, with E = s_q² / Q + s_qs² / (Q · S) over the
queries' means and W = s_s² / S + s_qs² / (Q · S) over the seeds' means. W has S − 1 degrees of freedom. The
test bounds W from below by its mean over all pairs, which is W itself for the average pair. Let x be a χ²
variable divided by its S − 1 degrees of freedom, and f(x) Satterthwaite's degrees of freedom. The test
rejects if |D| > c(x), with c(x) = t(1 − α / 2, f(x)) · √(E + W · max(x, 1)). The power is the mean over x of
this probability for D ~ N(δ, V). Two one-sided tests (Schuirmann 1987, *Journal of Pharmacokinetics and
Biopharmaceutics* 15) find equivalence if |D| < m − c(x), with t(1 − α, f(x)) in c and the margin m. E is
treated as known, so the numbers are approximate for fewer than about 30 queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, ndtr, stdtrit

from peftir.statistics.significance import ALPHA, Array

POWER = 0.8
MOST = 2**20
"""The largest number of seeds or queries that is tried."""
_QUANTILES = (np.arange(200) + 0.5) / 200  # of x, for the mean over x


@dataclass(frozen=True)
class VarianceComponents:
    """The variance components of a difference of two systems, in squares of the measure's unit."""

    queries: float
    seeds: float
    interaction: float
    """Of the interaction of query and seed, with the residual."""


def variance_components(differences: Iterable[Array]) -> VarianceComponents:
    """The variance components averaged over pairs of systems, by two-way analysis of variance.

    Args:
        differences: one array per pair, shape ``[seeds, queries]``, with at least two of each.
    """
    squares = np.mean([_mean_squares(each) for each in differences], axis=0)
    queries, seeds, interaction = (float(square) for square in squares)
    return VarianceComponents(max(queries, 0.0), max(seeds, 0.0), interaction)


def _mean_squares(values: Array) -> tuple[float, float, float]:
    """Unbiased estimates of the components of one pair; they may be negative."""
    seeds, queries = values.shape
    query_means, seed_means = values.mean(axis=0), values.mean(axis=1)
    residuals = values - query_means - seed_means[:, None] + values.mean()
    interaction = float((residuals**2).sum()) / ((seeds - 1) * (queries - 1))
    return (
        query_means.var(ddof=1) - interaction / seeds,
        seed_means.var(ddof=1) - interaction / queries,
        interaction,
    )


def power_to_differ(
    parts: VarianceComponents, seeds: int, queries: int, difference: float, alpha: float = ALPHA
) -> float:
    """The power of the two-level test for a true ``difference``."""
    error, reach = _error_and_reach(parts, seeds, queries, alpha / 2)
    return float(np.mean(ndtr((difference - reach) / error) + ndtr((-difference - reach) / error)))


def power_to_match(
    parts: VarianceComponents, seeds: int, queries: int, margin: float, alpha: float = ALPHA
) -> float:
    """The power of two one-sided tests to find equal systems equivalent within ``margin``."""
    error, reach = _error_and_reach(parts, seeds, queries, alpha)
    return float(np.mean(np.maximum(2 * ndtr((margin - reach) / error) - 1, 0)))


def needed(enough: Callable[[int], float], power: float = POWER) -> int | None:
    """The smallest number, at least 2, with which the test has ``power``; ``None`` if it is above ``MOST``.

    Args:
        enough: returns the power for a number of seeds, or of queries.
    """
    high = 2
    while enough(high) < power:
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) >= power else (middle, high)
    return high


def _error_and_reach(parts: VarianceComponents, seeds: int, queries: int, tail: float) -> tuple[float, Array]:
    """The standard error √V, and c(x) at the quantiles of x; both at least 1e-12."""
    shared = parts.interaction / (queries * seeds)
    over_queries = parts.queries / queries + shared
    x = chdtri(seeds - 1, 1 - _QUANTILES) / (seeds - 1)
    over_seeds = (parts.seeds / seeds + shared) * np.maximum(x, 1)
    squared = np.maximum(over_queries + over_seeds, 1e-24)
    freedom = squared**2 / np.maximum(over_queries**2 / (queries - 1) + over_seeds**2 / (seeds - 1), 1e-60)
    error = np.sqrt(max(parts.queries / queries + parts.seeds / seeds + shared, 1e-24))
    return float(error), -stdtrit(freedom, tail) * np.sqrt(squared)
