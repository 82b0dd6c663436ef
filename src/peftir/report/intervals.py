"""How far a mean may be off, given how many queries there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 10_000
SEED = 20220817
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences and its interval."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    @property
    def reach(self) -> float:
        """How far the interval goes from the mean, at most."""
        return max(self.high - self.mean, self.mean - self.low)


def paired_difference(values: NDArray[np.float64], reference: NDArray[np.float64]) -> Difference:
    """The mean of ``values - reference`` with its 95 % percentile interval, by bootstrap over queries.

    The same queries are drawn for both, so what makes a query hard for both cancels out (Efron & Tibshirani
    1993, *An Introduction to the Bootstrap*, chapter 13). The draws follow from a fixed seed.

    Args:
        values: one value a query, shape ``[queries]``.
        reference: the values of the same queries in the same order, shape ``[queries]``.
    """
    differences = values - reference
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return Difference(mean, -np.inf, np.inf)
    drawn = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=500,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return Difference(mean, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))
