"""The loss around weights: on quadratics, where all of it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from peftir.learning.surface import (
    barrier,
    curvature,
    filter_normalised,
    loss_path,
    loss_surface,
    positions,
    roughness,
)


def test_each_filter_of_a_direction_is_as_long_as_the_weights() -> None:
    matrix, vector = torch.randn(5, 3), torch.randn(7)
    matrix[2] = 0  # as an up-projection starts
    direction = filter_normalised([matrix, vector], [False, True], torch.Generator().manual_seed(0))
    assert torch.allclose(direction[0].norm(dim=1), matrix.norm(dim=1))
    assert torch.allclose(direction[1].norm(), vector.norm())
    assert not torch.allclose(direction[0] / matrix, (direction[0] / matrix)[0, 0])


def test_a_vector_is_one_filter_whatever_its_shape() -> None:
    factors = torch.ones(6, 1)
    [as_vector] = filter_normalised([factors], [True], torch.Generator().manual_seed(0))
    assert as_vector.shape == (6, 1)
    assert torch.allclose(as_vector.norm(), factors.norm())
    assert as_vector.abs().std() > 0.1
    # As rows of a matrix each number would be a filter: moved by its own size, up or down.
    [as_rows] = filter_normalised([factors], [False], torch.Generator().manual_seed(0))
    assert torch.allclose(as_rows.abs(), factors)


def test_a_surface_is_the_loss_at_the_moved_weights_and_leaves_them_as_they_were() -> None:
    weights = [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in ((4, 3), (2,))]
    vectors = [False, True]
    before = [weight.detach().clone() for weight in weights]

    def loss() -> torch.Tensor:
        return sum(((weight - 1) ** 2).sum() for weight in weights)

    grid = loss_surface(weights, vectors, loss, span=0.5, points=5, seed=4)
    generator = torch.Generator().manual_seed(4)
    first, second = (filter_normalised(weights, vectors, generator) for _ in range(2))
    for i, a in enumerate(positions(0.5, 5)):
        for j, b in enumerate(positions(0.5, 5)):
            moved = [w + a * f + b * s for w, f, s in zip(before, first, second, strict=True)]
            expected = sum(((weight - 1) ** 2).sum() for weight in moved).item()
            assert grid[i, j] == pytest.approx(expected, rel=1e-12)
    assert grid[2, 2] == loss().item()
    assert all(torch.equal(a, b) for a, b in zip(before, weights, strict=True))


def test_weights_are_put_back_after_an_error() -> None:
    weight = nn.Parameter(torch.ones(2, 2))

    def loss() -> torch.Tensor:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        loss_surface([weight], [False], loss, span=1.0, points=3, seed=0)
    assert torch.equal(weight, torch.ones(2, 2))


def test_curvature_and_roughness_of_a_quadratic_are_known() -> None:
    a, b = np.meshgrid(positions(0.5, 7), positions(0.5, 7), indexing="ij")
    bowl = 3.0 + a - 2 * b + 4 * a**2 + 1 * b**2 + 0.7 * a * b
    assert curvature(bowl, 0.5) == pytest.approx((8 + 2) / 2)
    assert roughness(bowl) == pytest.approx(0, abs=1e-12)


def test_roughness_is_what_a_quadratic_cannot_follow() -> None:
    a, b = np.meshgrid(positions(1, 3), positions(1, 3), indexing="ij")
    ripple = (a**2 - 2 / 3) * b  # orthogonal to every quadratic on this grid
    assert roughness(5 + a**2 + ripple) == pytest.approx(np.sqrt(np.mean(ripple**2)))


def test_a_path_leads_straight_from_one_end_to_the_other() -> None:
    weight = nn.Parameter(torch.tensor([-1.0, 0.0]))
    losses = loss_path([weight], lambda: (weight[0] ** 2 - 1) ** 2, [torch.tensor([1.0, 5.0])], points=5)
    assert losses == pytest.approx([0, (0.25 - 1) ** 2, 1, (0.25 - 1) ** 2, 0])  # a double well
    assert barrier(losses) == pytest.approx(1)
    assert torch.equal(weight, torch.tensor([-1.0, 0.0]))


def test_a_path_that_stays_below_the_line_between_its_ends_has_no_barrier() -> None:
    assert barrier(np.array([1.0, 0.2, 0.1, 3.0])) == 0
    assert barrier(np.array([1.0, 2.5, 3.0])) == pytest.approx(0.5)
