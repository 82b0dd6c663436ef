"""How fast and how steadily a model learned, from its learning curve.

A curve is a :class:`pandas.Series` of values by optimizer step, its first point at step 0 for the measure on
dev. Nothing is interpolated between its points: a level counts as reached at the first point that reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import pandas as pd

SHARES = (0.90, 0.95, 0.99)
"""How much of full fine-tuning's best is asked for."""


@dataclass(frozen=True)
class Target:
    """What full fine-tuning starts from and what it reaches on dev at best, each the mean over its seeds."""

    start: float
    best: float

    @staticmethod
    def of(curves: Sequence[pd.Series]) -> Target:
        """The target that the dev ``curves`` of full fine-tuning's seeds set."""
        return Target(mean(curve.iloc[0] for curve in curves), mean(curve.max() for curve in curves))

    def share_of_gain(self, share: float) -> float | None:
        """The level that is ``share`` of the way from start to best; ``None`` where there is no such way."""
        return self.start + share * (self.best - self.start) if self.best > self.start else None

    def share_of_best(self, share: float) -> float:
        """The level that is ``share`` of the best itself, which a good backbone may have at the start."""
        return share * self.best


def first_step_at(dev: pd.Series, level: float | None) -> int | None:
    """The first step at which ``dev`` is at ``level`` or above; ``None`` if it never is."""
    reached = dev.index[dev >= level] if level is not None else []
    return int(reached[0]) if len(reached) else None


def area_under_curve(dev: pd.Series) -> float:
    """The area under ``dev`` over the steps (trapezoids), divided by them: how high it was on average."""
    steps = dev.index.to_numpy(dtype=float)
    return float(np.trapezoid(dev, steps) / (steps[-1] - steps[0]))


def total_increase(curve: pd.Series) -> float:
    """All that ``curve`` goes up from point to point, in its own unit: 0 for one that only falls."""
    return float(np.diff(curve).clip(min=0).sum())


def total_decrease(curve: pd.Series) -> float:
    """All that ``curve`` goes down from point to point, in its own unit: 0 for one that only rises."""
    return total_increase(-curve)


def failed(dev: pd.Series) -> bool:
    """Whether training ended below where it started: the last point is worse than the untrained model."""
    return bool(dev.iloc[-1] < dev.iloc[0])
