"""Analysis of training: convergence, stability, and the loss surface around trained weights.

A learning curve is a measure on dev by optimizer step:

>>> import pandas as pd
>>> from peftir.learning import first_step_at, area_under_curve
>>> curve = pd.Series([0.2, 0.5, 0.6], index=[0, 10, 20])
>>> first_step_at(curve, 0.5), round(area_under_curve(curve), 3)
(10, 0.45)

The loss is a function of the current weights, here ``3 a² + b²``:

>>> import torch
>>> from peftir.learning import largest_eigenvalue
>>> weights = [torch.tensor([0.5], requires_grad=True), torch.tensor([1.0], requires_grad=True)]
>>> def loss():
...     return (3 * weights[0] ** 2 + weights[1] ** 2).sum()
>>> round(largest_eigenvalue(weights, loss, iterations=10, seed=0), 4)
6.0

>>> from peftir.learning import curvature, loss_surface, roughness
>>> grid = loss_surface(weights, [True, True], loss, span=1.0, points=5, seed=0)
>>> grid.shape, grid[2, 2].item()  # at the weights
((5, 5), 1.75)
>>> round(curvature(grid, span=1.0), 3)  # a step has the length of each vector: 6 · 0.5² + 2 · 1²
3.5
>>> roughness(grid) < 1e-6  # it is a quadratic
True

>>> from peftir.learning import barrier, loss_path
>>> other = [torch.tensor([-0.5]), torch.tensor([-1.0])]
>>> losses = loss_path(weights, loss, other, points=3)
>>> losses.tolist(), barrier(losses)
([1.75, 0.0, 1.75], 0.0)
"""

from peftir.learning.convergence import area_under_curve, first_step_at
from peftir.learning.sharpness import largest_eigenvalue
from peftir.learning.surface import barrier, curvature, loss_path, loss_surface, roughness

__all__ = [
    "area_under_curve",
    "barrier",
    "curvature",
    "first_step_at",
    "largest_eigenvalue",
    "loss_path",
    "loss_surface",
    "roughness",
]
