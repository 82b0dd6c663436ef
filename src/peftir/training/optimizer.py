"""The optimizer, AdamW (Loshchilov & Hutter 2019), and the learning rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set

import torch
from torch import nn

from peftir.study.training import ScheduleName
from peftir.training.settings import Settings


def new_optimizer(
    weights: Mapping[str, nn.Parameter], vectors: Set[str], head: Callable[[str], bool], settings: Settings
) -> torch.optim.AdamW:
    """Return AdamW over ``weights``; each parameter group has its peak learning rate under ``peak``.

    The head has its own learning rate. Vectors have no weight decay, whatever the method.

    Args:
        weights: trained weights by name.
        vectors: names of weights that are biases, scales of norms or factors
            (:func:`peftir.tuners.vector_names`).
        head: a predicate: whether a weight, by its name, belongs to the head.
        settings: learning rates, betas and weight decay.
    """
    groups: list[dict[str, object]] = []
    for in_head, rate in ((False, settings.learning_rate), (True, settings.head_learning_rate)):
        for are_vectors, decay in ((False, settings.weight_decay), (True, 0.0)):
            chosen = [
                weight
                for name, weight in weights.items()
                if head(name) is in_head and (name in vectors) is are_vectors
            ]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups or [{"params": []}], betas=settings.betas, fused=True)


def schedule(kind: ScheduleName, steps: int, warmup: float) -> Callable[[int], float]:
    """Return a function from a step, counted from 0, to the factor of the peak learning rate.

    The factor rises linearly to 1 in the warm-up. Then ``linear`` decays it to 0 linearly, ``cosine`` along
    half a cosine (Loshchilov & Hutter 2017, equation 5), and ``constant`` keeps it at 1.

    Args:
        kind: ``linear``, ``cosine`` or ``constant``.
        steps: the number of training steps.
        warmup: the share of the steps in the warm-up.
    """
    warmup_steps = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        remaining = max(0.0, (steps - step) / max(1, steps - warmup_steps))
        if kind == "linear":
            return remaining
        return (1 - math.cos(math.pi * remaining)) / 2 if kind == "cosine" else 1.0

    return factor
