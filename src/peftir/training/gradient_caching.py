"""Gradient caching: the gradients of a batch of any size, in the memory that a mini-batch takes.

Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from peftir.training.determinism import random_state, restore_random

T = TypeVar("T")


def cached_backward(
    encode: Sequence[Callable[[], Tensor]], loss_of: Callable[[list[Tensor]], Tensor]
) -> Tensor:
    """Add the gradients of a loss to those of the weights, holding one mini-batch's graph at a time.

    Each mini-batch is encoded without a graph; the loss over all outputs gives the gradient of each output;
    then each mini-batch is encoded again, from the same random state and so with the same dropout masks, and
    the gradient of its output is propagated back to the weights.

    Args:
        encode: for each mini-batch a function that gives its output; called twice.
        loss_of: the scalar loss of all outputs, in their order.

    Returns:
        The loss.
    """
    states, outputs = [], []
    with torch.no_grad():
        for mini_batch in encode:
            states.append(random_state())
            outputs.append(mini_batch())
    loss = loss_of([output.requires_grad_() for output in outputs])
    loss.backward()
    for mini_batch, state, output in zip(encode, states, outputs, strict=True):
        restore_random(state)
        mini_batch().backward(output.grad)
    return loss.detach()


def mini_batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """``items`` in mini-batches of ``size``; the last may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]
