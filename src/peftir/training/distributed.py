"""Several processes that train one model: each computes its share of every batch, all take the same steps.

Every process has the whole model. It computes the vectors or scores of its share of a batch; what the loss
takes from the others goes through :func:`total` or :func:`joined`, so that all have the loss of the whole
batch, and each the gradient of its own share. :func:`sum_gradients` makes of these the gradient that one
process would have had. Without a group, which is so with one process, all of this does nothing.

DistributedDataParallel is not for this: it takes the mean of losses of which each knows its own share alone,
hides the attributes of the model that it wraps, and looks for weights that a loss leaves out, such as a
pooler's, in every step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from peftir.models.precision import device, not_rounded
from peftir.system.errors import PeftirError
from peftir.system.processes import share_out

T = TypeVar("T")

PATIENCE = timedelta(days=1)  # the others wait while the first evaluates; one that died is noticed at once


def size() -> int:
    """How many processes train the model."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them, from 0; the first is the one that writes and evaluates."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's share of ``items``: as many as any other's, to one, in their order."""
    return items[_share_of(len(items))]


def _share_of(count: int) -> slice:
    return slice(count * rank() // size(), count * (rank() + 1) // size())


class _Total(torch.autograd.Function):
    """The sum over the processes; the gradient passes as it is, to the part that is this process's own."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        summed = value.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def total(value: Tensor) -> Tensor:
    """The sum of all processes' ``value``, with the gradient of this one's alone."""
    return _Total.apply(value) if size() > 1 else value


def joined(rows: Tensor, count: int) -> Tensor:
    """All processes' ``rows`` in order, ``[count, d]``, with the gradient of this one's alone.

    Args:
        rows: one for each of this process's share of ``count`` items.
        count: how many items the processes share.
    """
    if size() == 1:
        return rows
    mine = _share_of(count)
    # A sum with zeros: shares may differ in length, and every backend can do it.
    padded = nn.functional.pad(not_rounded(rows), (0, 0, mine.start, count - mine.stop))
    return total(padded).to(rows.dtype)


def sum_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Give all processes the sum of their gradients; the same weights have one in each."""
    if size() == 1:
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def of_first(value: Callable[[], float]) -> float:
    """What ``value`` gives in the first process, for all; the others do not call it."""
    if size() == 1:
        return value()
    number = torch.tensor(value() if rank() == 0 else 0.0, dtype=torch.float64, device=device())
    dist.broadcast(number, 0)
    return number.item()


def of_all(value: Tensor) -> Tensor:
    """All processes' ``value``, ``[size(), …]``, on the processor."""
    if size() == 1:
        return value[None]
    rows = torch.zeros(size(), *value.shape, dtype=value.dtype, device=device())
    rows[rank()] = value
    dist.all_reduce(rows)
    return rows.cpu()


def draw_apart() -> None:
    """Let this process draw other random numbers than the first, whose are those of a single process."""
    if rank() > 0:
        # Far from the seeds of other trainings; of a larger number only the last 32 bits would count.
        torch.manual_seed(torch.initial_seed() + 1_000_003 * rank())


def run(work: Callable[..., None], args: tuple[Any, ...], processes: int, key: str) -> None:
    """Run ``work(*args)`` in a group of ``processes``: new ones, or those that a launcher has started.

    With one it runs here, without a group. torchrun and accelerate say in the environment what they started.

    Args:
        work: a function of a module, or of the script that runs.
        args: what pickles.
        processes: how many.
        key: the setting in ``params.yaml`` that says how many.

    Raises:
        PeftirError: the one that a process raised; a process was killed; a launcher started another number.
    """
    launched = os.environ.get("WORLD_SIZE")
    if launched not in (None, str(processes)):
        raise PeftirError(
            f"params.yaml: {key}: {processes}: expected {launched}, as many as the launcher has started "
            "(WORLD_SIZE); start as many as the setting says, or change it"
        )
    if processes == 1:
        work(*args)
    elif launched:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if torch.cuda.is_available():
            torch.cuda.set_device(local)
        _run_as_member(work, args, int(os.environ.get("LOCAL_WORLD_SIZE", processes)))
    else:
        store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        share_out(_be_member, (processes, store.port, work, args), processes, key)


def _be_member(
    number: int, processes: int, port: int, work: Callable[..., None], args: tuple[Any, ...]
) -> None:
    """What a process does that :func:`run` has started."""
    if number > 0:
        _be_silent()
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    _run_as_member(work, args, processes, store=store, rank=number, world_size=processes)


def _run_as_member(work: Callable[..., None], args: tuple[Any, ...], here: int, **place: Any) -> None:
    """Join the group of which ``here`` processes are on this machine, work, and leave it."""
    # NCCL wants a GPU for each process.
    backend = "nccl" if torch.cuda.is_available() and torch.cuda.device_count() >= here else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE, **place)
    work(*args)
    dist.destroy_process_group()


def _be_silent() -> None:
    """Let the first process alone print; errors do not go this way."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
