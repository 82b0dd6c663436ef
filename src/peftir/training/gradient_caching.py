"""Gradient caching: the gradients of a batch of any size, with the memory of a mini-batch.

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
    """Accumulate the gradients of a loss in the weights, with one mini-batch's graph in memory at a time.

    1. Encode each mini-batch without a graph.
    2. Compute the loss of all outputs, and its gradient at each output.
    3. Encode each mini-batch again, with the same random state and so the same dropout masks, and
       backpropagate the gradient at its output.

    Args:
        encode: one function per mini-batch that returns its output; called twice.
        loss_of: returns the scalar loss of all outputs, in their order.

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
    """Split ``items`` into mini-batches of ``size``; the last may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]
