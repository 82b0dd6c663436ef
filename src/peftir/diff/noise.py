"""Significance of a difference between two trainings.

A mean over test queries varies with the queries and with the seed. The squared standard error of a difference
is the sum of both parts:

- *queries*: the variance of the differences per query, divided by the number of queries;
- *seeds*: the variance between the seeds' means, divided by the number of seeds of each side. It is pooled
  over all trained rows of a task with several seeds, on both sides, since two or three seeds of one row are
  too few. Trainings on the two sides are independent even with the same seed, since a change of settings
  changes a training as much as another seed.

With one seed everywhere the second part cannot be estimated. Without it, every change of a seed would be
significant, so it is *assumed*: the variance of the seeds' part is ``SHARED`` times the variance of the
differences per query. In other words, errors of one training are correlated between queries, so that any
number of queries has at most the information of ``1 / SHARED`` independent ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from peftir.statistics.significance import Array, Difference, satterthwaite_test

SHARED = 0.02
"""A conservative choice: five seeds of a small study had at most 1 % (docs/sweeps.md)."""


@dataclass(frozen=True)
class SeedNoise:
    """The variance of the seeds' means, and its degrees of freedom."""

    variance: float
    degrees: int


def seed_noise(rows: Iterable[Array]) -> SeedNoise | None:
    """The variance between seeds, pooled over rows; None if no row has several seeds.

    Args:
        rows: the values of each row by seed and query, ``[seeds, queries]``.
    """
    means = [values.mean(axis=1) for values in rows if len(values) > 1]
    degrees = sum(len(mean) - 1 for mean in means)
    if degrees == 0:
        return None
    return SeedNoise(float(sum(((mean - mean.mean()) ** 2).sum() for mean in means) / degrees), degrees)


def difference(before: Array, after: Array, noise: SeedNoise | None, *, trained: bool) -> Difference:
    """The mean of ``after`` minus ``before``; the p-value is nan if no query differs or there is only one.

    A t-test with both parts of the error; an assumed part has the queries' degrees of freedom.

    Args:
        before: ``[seeds, queries]``.
        after: the same queries in the same order; the seeds and their number may differ.
        noise: the variance between seeds; None if unknown.
        trained: whether the values depend on a seed.
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
