"""Whether a mean difference between two systems may be chance: tests over queries, and over seeds.

All tests are two-tailed and paired. A pair of systems is given as its differences on the same queries with
the same seeds, an array of shape ``[seeds, queries]``. ``docs/statistics.md`` says which test answers what.
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
_AT_A_TIME = 500  # random sign flips held in memory, each of one number a query

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A mean difference, its 95 % interval, and the p-value of the test that the interval belongs to.

    The interval is endless and the p-value nan where there are too few queries to tell.
    """

    mean: float
    low: float
    high: float
    p: float


def t_test(differences: Array) -> Difference:
    """Student's paired t-test over queries, each of which counts with its mean over the seeds.

    With several seeds it speaks of these very models on other queries, not of the methods trained anew.
    """
    return two_level_test(differences.mean(axis=0, keepdims=True))


def error_over_seeds(differences: Array) -> float:
    """The squared standard error of the mean difference over seeds; 0 for one seed, which cannot tell."""
    seeds = len(differences)
    return float(differences.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0


def two_level_test(differences: Array, at_least: float = 0.0) -> Difference:
    """A test with queries *and* seeds taken as random, so of the methods trained anew and asked anew.

    The squared error of the mean is that over queries plus that over seeds, as in Clark's min F' (1973,
    *Journal of Verbal Learning and Verbal Behavior* 12), which counts what both share twice and so errs on
    the safe side; degrees of freedom after Satterthwaite. With one seed it is the t-test, and says nothing of
    other seeds.

    Args:
        differences: shape ``[seeds, queries]``.
        at_least: the squared error over seeds if these seeds have less, as two or three often do by luck: the
            mean :func:`error_over_seeds` of all pairs that are tested together.
    """
    mean = float(differences.mean())
    seeds, queries = differences.shape
    if queries < 2:
        return Difference(mean, -np.inf, np.inf, np.nan)
    over_queries = float(differences.mean(axis=0).var(ddof=1)) / queries
    over_seeds = max(error_over_seeds(differences), at_least if seeds > 1 else 0.0)
    return satterthwaite_test(mean, [(over_queries, queries - 1), (over_seeds, max(seeds - 1, 1))])


def satterthwaite_test(mean: float, parts: Sequence[tuple[float, float]]) -> Difference:
    """Student's test of a mean whose squared error is a sum of independent parts.

    The degrees of freedom of the sum are Satterthwaite's (1946, *Biometrics Bulletin* 2). Where there is no
    error at all, up to rounding, the p-value is 1 for a mean of 0, else 0.

    Args:
        parts: of each, the squared error and the degrees of freedom that it was estimated with.
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

    If two systems are the same, which of them a query's value came from is a coin's toss, and so is the sign
    of its difference (Smucker, Allan & Carterette 2007, CIKM). Of up to 13 queries all flips are tried; of
    more, ``RANDOMIZATIONS`` that follow from a fixed seed, with the observed one among them (Phipson & Smyth
    2010, *Statistical Applications in Genetics and Molecular Biology* 9).

    Args:
        columns: a query's difference a line, a pair of systems a column, shape ``[queries, pairs]``.

    Returns:
        The p-values, shape ``[pairs]``.
    """
    queries = len(columns)
    nearly = np.abs(columns.sum(axis=0)) * (1 - 1e-9)  # a sum in another order differs in its last digits
    if 2**queries <= RANDOMIZATIONS:
        flips = np.stack(np.meshgrid(*[(-1.0, 1.0)] * queries), axis=-1).reshape(-1, queries)
        return (np.abs(flips @ columns) >= nearly).mean(axis=0)
    random = np.random.default_rng(RANDOMIZATION_SEED)
    as_large = np.zeros(columns.shape[1])
    for _ in range(0, RANDOMIZATIONS, _AT_A_TIME):
        flips = random.integers(0, 2, size=(_AT_A_TIME, queries)) * 2.0 - 1
        as_large += (np.abs(flips @ columns) >= nearly).sum(axis=0)
    return (as_large + 1) / (RANDOMIZATIONS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """The p-values of a family of tests, corrected so that any error among them is as rare as in one test.

    Holm's step-down procedure (1979, *Scandinavian Journal of Statistics* 6). A nan stays one and is not
    counted.
    """
    p = np.asarray(values, dtype=float)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]
    corrected = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return corrected.tolist()
