"""Significance tests of the mean difference of two systems, over queries and over seeds.

All tests are two-tailed and paired. Their input is the differences of two systems on the same queries with
the same seeds, an array of shape ``[seeds, queries]``. ``docs/statistics.md`` explains the choice of a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

ALPHA = 0.05
RANDOMIZATIONS = 10_000
RANDOMIZATION_SEED = 20220817
_CHUNK = 500  # random sign flips held in memory, each with one number per query

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95 % confidence interval and p-value.

    The interval is infinite and the p-value nan for fewer than two queries.
    """

    mean: float
    low: float
    high: float
    p: float


def t_test(differences: Array) -> Difference:
    """Student's paired t-test over queries, on each query's mean over the seeds.

    It generalizes to other queries, but not to models trained with other seeds.
    """
    return two_level_test(differences.mean(axis=0, keepdims=True))


def error_over_seeds(differences: Array) -> float:
    """The squared standard error over seeds of the mean difference; 0 for one seed."""
    seeds = len(differences)
    return float(differences.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0


def two_level_test(differences: Array, at_least: float = 0.0) -> Difference:
    """Test with queries *and* seeds as random effects: it generalizes to other queries and other seeds.

    The squared standard error is the sum of those over queries and over seeds, as in Clark's min F' (1973,
    *Journal of Verbal Learning and Verbal Behavior* 12). The sum counts the interaction twice, so the test is
    conservative. Degrees of freedom are Satterthwaite's. With one seed it is the t-test, which does not
    generalize to other seeds.

    Args:
        differences: shape ``[seeds, queries]``.
        at_least: a lower bound of the squared error over seeds, which two or three seeds often underestimate:
            the mean :func:`error_over_seeds` of all pairs that are tested together.
    """
    mean = float(differences.mean())
    seeds, queries = differences.shape
    if queries < 2:
        return Difference(mean, -np.inf, np.inf, np.nan)
    over_queries = float(differences.mean(axis=0).var(ddof=1)) / queries
    over_seeds = max(error_over_seeds(differences), at_least if seeds > 1 else 0.0)
    return satterthwaite_test(mean, [(over_queries, queries - 1), (over_seeds, max(seeds - 1, 1))])


def satterthwaite_test(mean: float, parts: Sequence[tuple[float, float]]) -> Difference:
    """Student's test of a mean whose squared standard error is a sum of independent parts.

    The degrees of freedom of the sum are Satterthwaite's (1946, *Biometrics Bulletin* 2). If the error is 0,
    up to rounding, the p-value is 1 for a mean of 0, else 0.

    Args:
        parts: the squared standard error and the degrees of freedom of each part.
    """
    squared = sum(part for part, _ in parts)
    if squared < 1e-24:
        return Difference(mean, mean, mean, float(abs(mean) < 1e-12))
    freedom = squared**2 / sum(part**2 / degrees for part, degrees in parts)
    error = float(np.sqrt(squared))
    reach = -error * float(stdtrit(freedom, ALPHA / 2))
    return Difference(mean, mean - reach, mean + reach, 2 * float(stdtr(freedom, -abs(mean) / error)))


def randomization_test(columns: Array) -> Array:
    """The paired randomization (sign-flip) test over queries, for many pairs of systems at once.

    Under the null hypothesis, the sign of each query's difference is random (Smucker, Allan & Carterette
    2007, CIKM). Up to 13 queries, all sign flips are tried. With more, ``RANDOMIZATIONS`` flips are drawn
    from a fixed seed, and the observed signs count as one more (Phipson & Smyth 2010, *Statistical
    Applications in Genetics and Molecular Biology* 9).

    Args:
        columns: the differences, shape ``[queries, pairs]``.

    Returns:
        The p-values, shape ``[pairs]``.
    """
    queries = len(columns)
    observed = np.abs(columns.sum(axis=0)) * (1 - 1e-9)  # sums in another order differ in their last digits
    if 2**queries <= RANDOMIZATIONS:
        flips = np.stack(np.meshgrid(*[(-1.0, 1.0)] * queries), axis=-1).reshape(-1, queries)
        return (np.abs(flips @ columns) >= observed).mean(axis=0)
    random = np.random.default_rng(RANDOMIZATION_SEED)
    as_large = np.zeros(columns.shape[1])
    for _ in range(0, RANDOMIZATIONS, _CHUNK):
        flips = random.integers(0, 2, size=(_CHUNK, queries)) * 2.0 - 1
        as_large += (np.abs(flips @ columns) >= observed).sum(axis=0)
    return (as_large + 1) / (RANDOMIZATIONS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Correct the p-values of a family of tests to control the family-wise error rate.

    Holm's step-down procedure (1979, *Scandinavian Journal of Statistics* 6). A nan stays nan and does not
    count as a test.
    """
    p = np.asarray(values, dtype=float)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]
    corrected = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return corrected.tolist()
