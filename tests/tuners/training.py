"""A short training of a tiny tuned model; run as a script, the same in several processes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from cases import ALL, CONFIGS, MARKS
from tiny import stir, tiny_model, tuned
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from peftir.tuners import attach

IDS = torch.randint(5, 40, (2, 4, 6), generator=torch.Generator().manual_seed(4))
MASK = torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 5 + [0], [1] * 3 + [0] * 3])
"""Two batches, of queries and of texts; the same four lengths in each."""


def start(family: str, case: str, head: bool = False) -> nn.Module:
    """A tuned model in training mode, without dropout."""
    type, knobs = ALL[case]
    model = tiny_model(CONFIGS[family], head)
    attach(model, type, **knobs)
    stir(tuned(model))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.train()


def losses(
    model: nn.Module, forward: Callable[..., Any] | None = None, rows: slice = slice(None)
) -> list[float]:
    """The losses of three steps. As in a bi-encoder, the model runs twice before the gradient is taken."""
    forward = model if forward is None else forward
    optimizer = torch.optim.SGD(tuned(model), lr=0.01)
    seen = []
    for _ in range(3):
        left, right = (
            forward(input_ids=ids[rows] * MASK[rows], attention_mask=MASK[rows])[0][:, 0] for ids in IDS
        )
        loss = (left.float() - right.float()).square().mean() + left.float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


def assert_a_step_trains_its_own(
    model: nn.Module, batch: dict[str, torch.Tensor], head: bool
) -> dict[str, torch.Tensor]:
    """Take a large step; what it changes is all that is trained, the method's weights and the ``head``.

    Returns:
        The trained weights as they were before.
    """
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(tuned(model), lr=1.0)
    model.train()(**batch)[0].square().sum().backward()
    optimizer.step()
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {n for n, p in model.named_parameters() if not torch.equal(p, before[n])} == trainable
    inserted = {name for name in trainable if "modules_to_save" not in name}
    assert inserted and all(any(mark in name for mark in MARKS) for name in inserted)
    assert (trainable > inserted) == head
    return {name: before[name] for name in trainable}


def main(models: list[str]) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    for name in models:
        family, case, stage = name.split("/")
        model = start(family, case, head=stage == "cross")
        # A bare BERT has a pooler, which its hidden states do not pass through.
        unused = case == "full" and stage == "bi"
        parallel = DistributedDataParallel(model, find_unused_parameters=unused)
        mine = torch.tensor(losses(model, parallel, slice(2 * rank, 2 * rank + 2)))
        dist.all_reduce(mine)
        if rank == 0:
            print(f"{name}: {' '.join(str(float(loss)) for loss in mine / 2)}")
    # What holds the group has to go first: if it ends the group, it waits for a thread of it, which may be
    # waiting for Python's lock, for ever.
    del parallel
    gc.collect()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
