"""How far a mean over queries and seeds may be off, by drawing both anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20220817
CONFIDENCE = 0.95
_AT_A_TIME = 500  # draws held in memory, each of one number a query


def intervals(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 95 % percentile interval of each system's mean, by bootstrap over queries and seeds.

    Queries are drawn with replacement, and independently of them seeds, if there are several (Owen 2007, *The
    pigeonhole bootstrap*, Annals of Applied Statistics 1). So few seeds spread less when drawn than they do:
    what a draw's seeds add is widened by √(S / (S − 1)) (Rao & Wu 1988, JASA 83). The draws follow from a
    fixed seed.

    Args:
        values: a value a system, seed and query, shape ``[systems, seeds, queries]``.

    Returns:
        The ends of the intervals, shape ``[systems, 2]``; endless for fewer than two queries.
    """
    systems, _, queries = values.shape
    if queries < 2:
        return np.tile([-np.inf, np.inf], (systems, 1))
    random = np.random.default_rng(SEED)
    means = [_draw(values, random) for _ in range(0, RESAMPLES, _AT_A_TIME)]
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(np.concatenate(means, axis=1), [tail, 1 - tail], axis=1).T


def _draw(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """The systems' means over drawn queries and seeds, shape ``[systems, _AT_A_TIME]``."""
    _, seeds, queries = values.shape
    drawn = random.integers(0, queries, size=(_AT_A_TIME, queries))
    places = drawn + queries * np.arange(_AT_A_TIME)[:, None]
    times = np.bincount(places.ravel(), minlength=_AT_A_TIME * queries).reshape(_AT_A_TIME, queries)
    shares = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=_AT_A_TIME) / seeds
    widened = 1 / seeds + (shares - 1 / seeds) * np.sqrt(seeds / max(seeds - 1, 1))
    by_seed = values @ times.T / queries  # systems, seeds, draws
    return (by_seed * widened.T).sum(axis=1)
