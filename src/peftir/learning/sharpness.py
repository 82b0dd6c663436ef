"""How sharp a minimum is: the largest eigenvalue of the loss's Hessian over the trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

TOLERANCE = 0.001  # of the eigenvalue; where iterations no longer change it by more, they stop

Vector = list[Tensor]  # a part for each of the weights, of its shape


def largest_eigenvalue(
    weights: Sequence[Tensor], loss: Callable[[], Tensor], *, iterations: int, seed: int
) -> float:
    """The largest eigenvalue of the Hessian of ``loss`` at ``weights``, by power iteration.

    Each iteration is a Hessian-vector product (Pearlmutter 1994); what comes out is the Rayleigh quotient of
    the last vector, which is never above the eigenvalue. Power iteration finds the eigenvalue of largest
    size; where that one is negative, a second run on the Hessian shifted by it finds the largest.

    Args:
        weights: leaves that ``loss`` depends on and that require gradients.
        loss: the scalar loss at the weights as they stand, the same at every call.
        iterations: products at most (twice that where the first run ends at a negative eigenvalue).
        seed: of the vector that the iterations start from.
    """
    # Fused attention kernels have no second derivative.
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        gradients = torch.autograd.grad(loss(), weights, create_graph=True, materialize_grads=True)
        # A weight that the loss does not depend on, or only linearly, has no part in the Hessian.
        parts = [(g, w) for g, w in zip(gradients, weights, strict=True) if g.requires_grad]
        if not parts:
            return 0.0
        outputs, inputs = [g for g, _ in parts], [w for _, w in parts]

        def product(vector: Vector) -> Vector:
            return list(
                torch.autograd.grad(outputs, inputs, vector, retain_graph=True, materialize_grads=True)
            )

        start = _random(inputs, seed)
        value = _power(product, start, iterations)
        if value >= 0:
            return value

        def shifted(vector: Vector) -> Vector:
            return [p - value * v for p, v in zip(product(vector), vector, strict=True)]

        return value + _power(shifted, start, iterations)


def _power(product: Callable[[Vector], Vector], start: Vector, iterations: int) -> float:
    """The eigenvalue of largest size of the symmetric matrix behind ``product``."""
    vector, value = start, 0.0
    for _ in range(iterations):
        image = product(vector)
        before, value = value, _dot(vector, image)
        size = _dot(image, image) ** 0.5
        if size == 0 or abs(value - before) <= TOLERANCE * abs(value):
            break
        vector = [part / size for part in image]
    return value


def _random(like: Sequence[Tensor], seed: int) -> Vector:
    """A random vector of length 1, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(part.shape, generator=generator).to(part) for part in like]
    size = _dot(vector, vector) ** 0.5
    return [part / size for part in vector]


def _dot(a: Vector, b: Vector) -> float:
    return float(sum((x.double() * y.double()).sum() for x, y in zip(a, b, strict=True)))
