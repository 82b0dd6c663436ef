"""How large a difference between two trainings may be by chance alone.

Two things make a mean over test queries differ that no change of the method made: other queries would have
given another mean, and so would another seed. The squared error of a difference is the sum of both parts:

- *queries*: the variance of the differences per query, over the number of queries;
- *seeds*: the variance between the seeds' means, divided by the number of seeds of each side. It is estimated
  from all trained rows of a task that have several seeds, both sides' taken together, since two or three
  seeds of one row say little. Trainings on both sides count as independent even with the same seed: a change
  of settings sends a training another way just as a seed does.

With one seed everywhere the second part cannot be estimated. It is not left out, or every change of a seed
would pass for news; it is *assumed*: the variance of the seeds' part is taken as ``SHARED`` of the variance
of the differences per query. In other words, what one training gets wrong it gets wrong on many queries
together, so that any number of queries says no more than ``1 / SHARED`` independent ones would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from peftir.statistics.significance import Array, Difference, satterthwaite_test

SHARED = 0.02
"""A choice on the safe side: five seeds of a small study gave 1 % at most (docs/sweeps.md)."""


@dataclass(frozen=True)
class SeedNoise:
    """The variance of one seed's mean around the mean of all seeds, and the degrees of freedom behind it."""

    variance: float
    degrees: int


def seed_noise(rows: Iterable[Array]) -> SeedNoise | None:
    """The variance between seeds, pooled over rows; None if no row has several seeds.

    Args:
        rows: for each row the values by seed and query, shape ``[seeds, queries]``.
    """
    means = [values.mean(axis=1) for values in rows if len(values) > 1]
    degrees = sum(len(mean) - 1 for mean in means)
    if degrees == 0:
        return None
    return SeedNoise(float(sum(((mean - mean.mean()) ** 2).sum() for mean in means) / degrees), degrees)


def difference(before: Array, after: Array, noise: SeedNoise | None, *, trained: bool) -> Difference:
    """How much ``after`` is above ``before``; the p-value is nan if no query differs or there is but one.

    Student's t over both parts of the error; an assumed part has the queries' degrees of freedom.

    Args:
        before: shape ``[seeds, queries]``.
        after: the same queries in the same order; other seeds, or another number of them.
        noise: the variance between seeds, if it is known.
        trained: whether a seed had any influence.
    """
    differences = after.mean(axis=0) - before.mean(axis=0)
    mean, queries = float(differences.mean()), len(differences)
    if not differences.any():
        return Difference(0.0, 0.0, 0.0, np.nan)
    if queries < 2:
        return Difference(mean, -np.inf, np.inf, np.nan)
    spread = float(differences.var(ddof=1))
    over_queries, over_seeds = spread / queries, 0.0
    if trained:
        over_seeds = SHARED * spread if noise is None else noise.variance * (1 / len(before) + 1 / len(after))
    if trained and noise is not None:
        return satterthwaite_test(mean, [(over_queries, queries - 1), (over_seeds, noise.degrees)])
    return satterthwaite_test(mean, [(over_queries + over_seeds, queries - 1)])
