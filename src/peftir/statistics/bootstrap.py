"""Bootstrap confidence intervals of means over queries and seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20220817
CONFIDENCE = 0.95
_CHUNK = 500  # resamples held in memory, each with one number per query


def intervals(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 95 % percentile interval of each system's mean, by bootstrap over queries and seeds.

    Queries and, independently, seeds are resampled with replacement (Owen 2007, *The pigeonhole bootstrap*,
    Annals of Applied Statistics 1). Resampling S seeds underestimates their variance, so their deviations are
    multiplied by √(S / (S − 1)) (Rao & Wu 1988, JASA 83). The random seed is fixed.

    Args:
        values: shape ``[systems, seeds, queries]``.

    Returns:
        The ends of the intervals, shape ``[systems, 2]``; infinite for fewer than two queries.
    """
    systems, _, queries = values.shape
    if queries < 2:
        return np.tile([-np.inf, np.inf], (systems, 1))
    random = np.random.default_rng(SEED)
    means = [_resample(values, random) for _ in range(0, RESAMPLES, _CHUNK)]
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(np.concatenate(means, axis=1), [tail, 1 - tail], axis=1).T


def _resample(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """The systems' means over resampled queries and seeds, shape ``[systems, _CHUNK]``."""
    _, seeds, queries = values.shape
    drawn = random.integers(0, queries, size=(_CHUNK, queries))
    flat = drawn + queries * np.arange(_CHUNK)[:, None]
    counts = np.bincount(flat.ravel(), minlength=_CHUNK * queries).reshape(_CHUNK, queries)
    shares = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=_CHUNK) / seeds
    scaled = 1 / seeds + (shares - 1 / seeds) * np.sqrt(seeds / max(seeds - 1, 1))
    by_seed = values @ counts.T / queries  # systems, seeds, resamples
    return (by_seed * scaled.T).sum(axis=1)
