"""The largest eigenvalue, against known ones and against torch's full Hessian."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from peftir.learning.sharpness import TOLERANCE, largest_eigenvalue


def quadratic(eigenvalues: list[float]):
    """Two weights of different shapes, and half a quadratic form of theirs with the given eigenvalues."""
    size = len(eigenvalues)
    generator = torch.Generator().manual_seed(1)
    rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=generator))
    matrix = rotation @ torch.diag(torch.tensor(eigenvalues)) @ rotation.T
    weights = [nn.Parameter(torch.randn(2, 2)), nn.Parameter(torch.randn(size - 4))]

    def loss() -> torch.Tensor:
        x = torch.cat([weight.reshape(-1) for weight in weights])
        return x @ matrix @ x / 2

    return weights, loss


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [9.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.0],
        [9.0, -4.0, 3.0, -2.0, 1.0, 0.5, 0.0],
        [9.0, 2.0, 1.0, -1.0, -3.0, -15.0],  # the largest in size is negative
    ],
)
def test_it_finds_the_largest_eigenvalue_of_a_quadratic(eigenvalues: list[float]) -> None:
    weights, loss = quadratic(eigenvalues)
    assert largest_eigenvalue(weights, loss, iterations=100, seed=3) == pytest.approx(9.0, rel=2 * TOLERANCE)


def test_a_steep_descent_among_many_flat_directions_does_not_hide_it() -> None:
    """Power iteration finds -40 first, and then, on the matrix shifted by it, stops at the many zeros."""
    weights, loss = quadratic([9.0, -40.0, *[0.0] * 300])
    assert largest_eigenvalue(weights, loss, iterations=5, seed=3) == pytest.approx(9.0, rel=2 * TOLERANCE)


def test_few_iterations_give_less_never_more() -> None:
    weights, loss = quadratic([9.0, 8.5, 8.0, 7.0, 1.0, 0.5, 0.0])
    few, more = (largest_eigenvalue(weights, loss, iterations=n, seed=3) for n in (2, 10))
    assert few < more < 9.0 * (1 + 1e-5)  # some roundings of float32


def test_it_agrees_with_the_whole_hessian_of_attention() -> None:
    torch.manual_seed(0)
    x, target = torch.randn(3, 4, 8), torch.randn(3, 4, 8)
    weights = [nn.Parameter(torch.randn(8, 8) / 3) for _ in range(3)]

    def loss_of(flat: torch.Tensor) -> torch.Tensor:
        q, k, v = (x @ part.reshape(8, 8) for part in flat.split(64))
        out = nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return ((out - target) ** 2).mean()

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        flat = torch.cat([weight.detach().reshape(-1) for weight in weights])
        hessian = torch.autograd.functional.hessian(loss_of, flat)
    expected = torch.linalg.eigvalsh(hessian)[-1].item()
    found = largest_eigenvalue(
        weights,
        lambda: loss_of(torch.cat([weight.reshape(-1) for weight in weights])),
        iterations=200,
        seed=3,
    )
    assert found == pytest.approx(expected, rel=2 * TOLERANCE)


def test_weights_that_the_loss_does_not_bend_over_have_no_part_in_it() -> None:
    bent, straight, unused = (nn.Parameter(torch.ones(3)) for _ in range(3))
    both = largest_eigenvalue(
        [bent, straight, unused], lambda: 2 * (bent**2).sum() + straight.sum(), iterations=20, seed=0
    )
    assert both == pytest.approx(4.0)
    assert largest_eigenvalue([straight], lambda: straight.sum(), iterations=20, seed=0) == 0.0


def test_the_weights_and_their_gradients_are_left_alone() -> None:
    weights, loss = quadratic([3.0, 2.0, 1.0, 1.0, 1.0])
    before = [weight.detach().clone() for weight in weights]
    largest_eigenvalue(weights, loss, iterations=5, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, weights, strict=True))
    assert all(weight.grad is None for weight in weights)
