"""The loss around trained weights: along two random directions, and on the way from one seed to another.

Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets". Directions are filter-normalised (§4): each
filter of a direction, a row of a matrix, is as long as the same filter of the weights, so that a step of 1
changes every filter by its own length and steps mean the same for all variants. A vector (a bias, a norm's
scale, (IA)³'s factors) counts as one filter, where the paper leaves biases and norms out: for some methods
they are all there is. :func:`peftir.tuners.vector_names` says which weights are vectors.
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
    """A random direction, of the weights' shapes; each filter is as long as that of the weights.

    Args:
        weights: matrices, whose rows are filters, and vectors, each one filter.
        vectors: for each of the weights whether it is a vector, whatever its shape.
        generator: what is random.
    """
    direction = []
    for weight, is_vector in zip(weights, vectors, strict=True):
        filters = weight.detach().reshape(1 if is_vector else len(weight), -1)
        random = torch.randn(filters.shape, generator=generator).to(filters)
        lengths = filters.norm(dim=1, keepdim=True) / random.norm(dim=1, keepdim=True)
        direction.append((random * lengths).reshape(weight.shape))
    return direction


def positions(span: float, points: int) -> Grid:
    """Where a surface is computed along either direction: ``points`` from ``-span`` to ``span``."""
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
    """The loss at ``weights`` moved along two filter-normalised directions.

    Args:
        weights: leaves that ``loss`` depends on; they are moved, and put back at the end.
        vectors: see :func:`filter_normalised`.
        loss: the scalar loss at the weights as they stand, the same at every call.
        span: how far to go to either side, 1 being each filter's own length.
        points: how many along either direction, odd, so that one is the weights themselves.
        seed: of the directions.

    Returns:
        ``[points, points]``, the first direction down and the second across, in the unit of the loss.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = (filter_normalised(weights, vectors, generator) for _ in range(2))
    where = positions(span, points)
    with _moving(weights) as move:
        return np.array([[_at(loss, move, [(first, a), (second, b)]) for b in where] for a in where])


def loss_path(
    weights: Sequence[Tensor], loss: Callable[[], Tensor], end: Sequence[Tensor], points: int
) -> NDArray[np.float64]:
    """The loss on the straight way from ``weights`` to ``end``, both ends included, ``[points]``."""
    path = [there.to(here) - here.detach() for here, there in zip(weights, end, strict=True)]
    with _moving(weights) as move:
        return np.array([_at(loss, move, [(path, share)]) for share in np.linspace(0, 1, points)])


def barrier(losses: NDArray[np.float64]) -> float:
    """How far a path rises above the straight line between its ends' losses, at most; 0 if it never does."""
    line = np.linspace(losses[0], losses[-1], len(losses))
    return float((losses - line).max())


def curvature(grid: Grid, span: float) -> float:
    """The loss's second derivative at the centre, the mean of the two directions, from the nearest points."""
    middle = len(grid) // 2
    step = span / middle
    around = grid[middle - 1, middle] + grid[middle + 1, middle]
    around += grid[middle, middle - 1] + grid[middle, middle + 1]
    return float((around - 4 * grid[middle, middle]) / (2 * step**2))


def roughness(grid: Grid) -> float:
    """How far a surface is from the quadratic that fits it best: root mean square, in the loss's unit."""
    where = positions(1.0, len(grid))
    a, b = (axis.ravel() for axis in np.meshgrid(where, where, indexing="ij"))
    terms = np.stack([np.ones_like(a), a, b, a * a, a * b, b * b], axis=1)
    fit, *_ = np.linalg.lstsq(terms, grid.ravel(), rcond=None)
    return float(np.sqrt(np.mean((grid.ravel() - terms @ fit) ** 2)))


Moves = list[tuple[Sequence[Tensor], float]]  # directions and how far to go along each


def _at(loss: Callable[[], Tensor], move: Callable[[Moves], None], moves: Moves) -> float:
    move(moves)
    return float(loss())


@contextmanager
def _moving(weights: Sequence[Tensor]) -> Iterator[Callable[[Moves], None]]:
    """Yield a function that puts the weights where moves from their origin lead; in the end they are back."""
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
