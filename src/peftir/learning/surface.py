"""The loss around trained weights, along two random directions, and on the line between two seeds' weights.

Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets". Directions are filter-normalized (§4): each
filter of a direction, a row of a matrix, has the norm of the same filter of the weights, so that steps are
comparable between variants. A vector (a bias, a norm's scale, (IA)³'s factors) is one filter. The paper
leaves biases and norms out, but some methods train only these. :func:`peftir.tuners.vector_names` returns
which weights are vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Grid = NDArray[np.float64]


def filter_normalised(
    weights: Sequence[Tensor], vectors: Sequence[bool], generator: torch.Generator
) -> list[Tensor]:
    """Draw a random direction with the weights' shapes, each filter with the norm of the weights' filter.

    Args:
        weights: matrices, whose rows are filters, and vectors, each one filter.
        vectors: for each weight whether it is a vector, whatever its shape.
        generator: for the random numbers.
    """
    direction = []
    for weight, is_vector in zip(weights, vectors, strict=True):
        filters = weight.detach().reshape(1 if is_vector else len(weight), -1)
        random = torch.randn(filters.shape, generator=generator).to(filters)
        lengths = filters.norm(dim=1, keepdim=True) / random.norm(dim=1, keepdim=True)
        direction.append((random * lengths).reshape(weight.shape))
    return direction


def positions(span: float, points: int) -> Grid:
    """The coordinates of a surface along each direction: ``points`` values from ``-span`` to ``span``."""
    return np.linspace(-span, span, points)


def loss_surface(
    weights: Sequence[Tensor],
    vectors: Sequence[bool],
    loss: Callable[[], Tensor],
    *,
    span: float,
    points: int,
    seed: int,
) -> Grid:
    """The loss on a grid around ``weights`` along two filter-normalized directions.

    Args:
        weights: leaf tensors on which ``loss`` depends; they are modified and restored at the end.
        vectors: see :func:`filter_normalised`.
        loss: returns the scalar loss at the current weights; deterministic.
        span: distance to each side, in norms of each filter.
        points: number of points along each direction; odd, so that the centre is at the weights.
        seed: of the directions.

    Returns:
        The losses, ``[points, points]``, with the first direction along the first axis.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = (filter_normalised(weights, vectors, generator) for _ in range(2))
    offsets = positions(span, points)
    with _moving(weights) as move:
        return np.array([[_loss_at(loss, move, [(first, a), (second, b)]) for b in offsets] for a in offsets])


def loss_path(
    weights: Sequence[Tensor], loss: Callable[[], Tensor], end: Sequence[Tensor], points: int
) -> NDArray[np.float64]:
    """The loss on the straight line from ``weights`` to ``end``, both included, ``[points]``."""
    direction = [last.to(first) - first.detach() for first, last in zip(weights, end, strict=True)]
    with _moving(weights) as move:
        return np.array([_loss_at(loss, move, [(direction, share)]) for share in np.linspace(0, 1, points)])


def barrier(losses: NDArray[np.float64]) -> float:
    """The maximum height of a path above the linear interpolation of its ends' losses; 0 if never above."""
    line = np.linspace(losses[0], losses[-1], len(losses))
    return float((losses - line).max())


def curvature(grid: Grid, span: float) -> float:
    """The second derivative at the centre by finite differences, averaged over the two directions."""
    middle = len(grid) // 2
    step = span / middle
    neighbours = grid[middle - 1, middle] + grid[middle + 1, middle]
    neighbours += grid[middle, middle - 1] + grid[middle, middle + 1]
    return float((neighbours - 4 * grid[middle, middle]) / (2 * step**2))


def roughness(grid: Grid) -> float:
    """The root mean square error of the best quadratic fit to a surface, in the loss's unit."""
    offsets = positions(1.0, len(grid))
    a, b = (axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij"))
    terms = np.stack([np.ones_like(a), a, b, a * a, a * b, b * b], axis=1)
    fit, *_ = np.linalg.lstsq(terms, grid.ravel(), rcond=None)
    return float(np.sqrt(np.mean((grid.ravel() - terms @ fit) ** 2)))


Moves = list[tuple[Sequence[Tensor], float]]  # directions, and the distance along each


def _loss_at(loss: Callable[[], Tensor], move: Callable[[Moves], None], moves: Moves) -> float:
    move(moves)
    return float(loss())


@contextmanager
def _moving(weights: Sequence[Tensor]) -> Iterator[Callable[[Moves], None]]:
    """Yield a function that sets the weights to their original values plus moves; restore them at the end."""
    origin = [weight.detach().clone() for weight in weights]

    def move(moves: Moves) -> None:
        for i, weight in enumerate(weights):
            weight.copy_(origin[i])
            for direction, distance in moves:
                weight.add_(direction[i], alpha=float(distance))

    with torch.no_grad():
        try:
            yield move
        finally:
            move([])
