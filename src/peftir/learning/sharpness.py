"""How sharp a minimum is: the largest eigenvalue of the loss's Hessian over the trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

TOLERANCE = 0.001  # of the eigenvalue; where it is known to be no further away, iterations stop

Vector = list[Tensor]  # a part for each of the weights, of its shape


def largest_eigenvalue(
    weights: Sequence[Tensor], loss: Callable[[], Tensor], *, iterations: int, seed: int
) -> float:
    """The largest eigenvalue of the Hessian of ``loss`` at ``weights``, by Lanczos iterations.

    Each iteration is a Hessian-vector product (Pearlmutter 1994); what comes out is the largest Ritz value,
    which is never above the eigenvalue. Of all values that follow from as many products it is the largest, so
    never below that of power iteration, which goes astray where the largest eigenvalue in size is negative.

    Args:
        weights: leaves that ``loss`` depends on and that require gradients.
        loss: the scalar loss at the weights as they stand, the same at every call.
        iterations: products at most.
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

        return _lanczos(product, _random(inputs, seed), iterations)


def _lanczos(product: Callable[[Vector], Vector], start: Vector, iterations: int) -> float:
    """The largest Ritz value of the symmetric matrix behind ``product`` (Golub & Van Loan 2013, §10.1).

    Vectors are not made orthogonal anew: rounding then repeats eigenvalues, but changes no largest one.
    """
    diagonal: list[float] = []
    beside: list[float] = []
    before, vector, largest = start, start, 0.0
    for _ in range(iterations):
        image = product(vector)
        diagonal.append(_dot(vector, image))
        back = beside[-1] if beside else 0.0
        rest = [i - diagonal[-1] * v - back * b for i, v, b in zip(image, vector, before, strict=True)]
        size = _dot(rest, rest) ** 0.5
        values, vectors = eigh_tridiagonal(diagonal, beside)
        largest = float(values[-1])
        if size * abs(vectors[-1, -1]) <= TOLERANCE * abs(largest):
            break
        beside.append(size)
        before, vector = vector, [part / size for part in rest]
    return largest


def _random(like: Sequence[Tensor], seed: int) -> Vector:
    """A random vector of length 1, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(part.shape, generator=generator).to(part) for part in like]
    size = _dot(vector, vector) ** 0.5
    return [part / size for part in vector]


def _dot(a: Vector, b: Vector) -> float:
    return float(sum((x.double() * y.double()).sum() for x, y in zip(a, b, strict=True)))
