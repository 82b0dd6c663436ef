"""The optimizer of a training, AdamW (Loshchilov & Hutter 2019), and the schedule of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set

import torch
from torch import nn

from peftir.study.blocks import ScheduleName
from peftir.training.settings import Settings


def new_optimizer(
    weights: Mapping[str, nn.Parameter], vectors: Set[str], head: Callable[[str], bool], settings: Settings
) -> torch.optim.AdamW:
    """AdamW over ``weights``; the peak learning rate of each parameter group is its ``peak``.

    The head has its own learning rate. Vectors have no weight decay, with every method alike.

    Args:
        weights: trained weights by name.
        vectors: names of weights that are biases, scales of norms or factors
            (:func:`peftir.tuners.vector_names`).
        head: tells by a weight's name whether it belongs to the head.
        settings: has rates, betas and weight decay.
    """
    groups: list[dict[str, object]] = []
    for of_head, rate in ((False, settings.learning_rate), (True, settings.head_learning_rate)):
        for are_vectors, decay in ((False, settings.weight_decay), (True, 0.0)):
            chosen = [
                weight
                for name, weight in weights.items()
                if head(name) is of_head and (name in vectors) is are_vectors
            ]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups or [{"params": []}], betas=settings.betas, fused=True)


def schedule(kind: ScheduleName, steps: int, warmup: float) -> Callable[[int], float]:
    """A function that gives the share of the peak learning rate at a step, counted from 0.

    The share rises linearly to 1 in the warm-up. After it, ``linear`` falls to 0 along a straight line,
    ``cosine`` along half a cosine (Loshchilov & Hutter 2017, equation 5), and ``constant`` stays at 1.

    Args:
        kind: ``linear``, ``cosine`` or ``constant``.
        steps: the number of steps of the training.
        warmup: share of the steps that belongs to the warm-up.
    """
    rising = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        left = max(0.0, (steps - step) / max(1, steps - rising))
        if kind == "linear":
            return left
        return (1 - math.cos(math.pi * left)) / 2 if kind == "cosine" else 1.0

    return factor
