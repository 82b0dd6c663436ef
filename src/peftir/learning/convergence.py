"""Convergence and stability of a training run, from its learning curve.

A curve is a :class:`pandas.Series` of values by optimizer step; that of the measure on dev starts at step 0.
There is no interpolation: a level is reached at the first point at or above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import pandas as pd

SHARES = (0.90, 0.95, 0.99)
"""Shares of full fine-tuning's gain, and of its best value, that define the levels."""


@dataclass(frozen=True)
class Target:
    """Full fine-tuning's start and best value on dev, each the mean over seeds."""

    start: float
    best: float

    @staticmethod
    def of(curves: Sequence[pd.Series]) -> Target:
        """The target from the dev ``curves`` of full fine-tuning's seeds."""
        return Target(mean(curve.iloc[0] for curve in curves), mean(curve.max() for curve in curves))

    def share_of_gain(self, share: float) -> float | None:
        """The level at ``share`` of the gain from start to best; ``None`` without a gain."""
        return self.start + share * (self.best - self.start) if self.best > self.start else None

    def share_of_best(self, share: float) -> float:
        """The level at ``share`` of the best value, which a good backbone may reach at the start."""
        return share * self.best


def first_step_at(dev: pd.Series, level: float | None) -> int | None:
    """The first step at which ``dev`` is at least ``level``; ``None`` if it never is."""
    reached = dev.index[dev >= level] if level is not None else []
    return int(reached[0]) if len(reached) else None


def area_under_curve(dev: pd.Series) -> float:
    """The area under ``dev`` by the trapezoidal rule, divided by the number of steps: its mean height."""
    steps = dev.index.to_numpy(dtype=float)
    return float(np.trapezoid(dev, steps) / (steps[-1] - steps[0]))


def total_increase(curve: pd.Series) -> float:
    """The sum of all increases between neighbouring points of ``curve``, in its unit."""
    return float(np.diff(curve).clip(min=0).sum())


def total_decrease(curve: pd.Series) -> float:
    """The sum of all decreases between neighbouring points of ``curve``, in its unit."""
    return total_increase(-curve)


def failed(dev: pd.Series) -> bool:
    """Whether the last point is below the first: the trained model is worse than the untrained one."""
    return bool(dev.iloc[-1] < dev.iloc[0])
