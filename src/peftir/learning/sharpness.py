"""Sharpness of a minimum: the largest eigenvalue of the loss's Hessian over the trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

TOLERANCE = 0.001  # relative error bound of the eigenvalue at which iterations stop

Vector = list[Tensor]  # one tensor per weight, of the weight's shape


def largest_eigenvalue(
    weights: Sequence[Tensor], loss: Callable[[], Tensor], *, iterations: int, seed: int
) -> float:
    """The largest eigenvalue of the Hessian of ``loss`` at ``weights``, by Lanczos iterations.

    Each iteration is a Hessian-vector product (Pearlmutter 1994). The result is the largest Ritz value, a
    lower bound of the eigenvalue. It is at least the estimate of power iteration with as many products, which
    fails if the eigenvalue of largest magnitude is negative.

    Args:
        weights: leaf tensors that require gradients, on which ``loss`` depends.
        loss: returns the scalar loss at the current weights; deterministic.
        iterations: maximum number of products.
        seed: of the start vector.
    """
    # Fused attention kernels have no second derivative.
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        gradients = torch.autograd.grad(loss(), weights, create_graph=True, materialize_grads=True)
        # A weight on which the loss does not depend, or only linearly, has zero rows in the Hessian.
        parts = [(g, w) for g, w in zip(gradients, weights, strict=True) if g.requires_grad]
        if not parts:
            return 0.0
        outputs, inputs = [g for g, _ in parts], [w for _, w in parts]

        def product(vector: Vector) -> Vector:
            return list(
                torch.autograd.grad(outputs, inputs, vector, retain_graph=True, materialize_grads=True)
            )

        return _lanczos(product, _random(inputs, seed), iterations)


def _lanczos(product: Callable[[Vector], Vector], start: Vector, iterations: int) -> float:
    """The largest Ritz value of the symmetric operator ``product`` (Golub & Van Loan 2013, §10.1).

    There is no reorthogonalization: rounding then duplicates eigenvalues, but does not change the largest.
    """
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    previous, vector, largest = start, start, 0.0
    for _ in range(iterations):
        image = product(vector)
        diagonal.append(_dot(vector, image))
        beta = off_diagonal[-1] if off_diagonal else 0.0
        residual = [i - diagonal[-1] * v - beta * p for i, v, p in zip(image, vector, previous, strict=True)]
        norm = _dot(residual, residual) ** 0.5
        values, vectors = eigh_tridiagonal(diagonal, off_diagonal)
        largest = float(values[-1])
        if norm * abs(vectors[-1, -1]) <= TOLERANCE * abs(largest):
            break
        off_diagonal.append(norm)
        previous, vector = vector, [part / norm for part in residual]
    return largest


def _random(like: Sequence[Tensor], seed: int) -> Vector:
    """A random vector of length 1, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(part.shape, generator=generator).to(part) for part in like]
    size = _dot(vector, vector) ** 0.5
    return [part / size for part in vector]


def _dot(a: Vector, b: Vector) -> float:
    return float(sum((x.double() * y.double()).sum() for x, y in zip(a, b, strict=True)))
