"""Several processes train one model: each computes its shard of every batch, all take the same steps.

Data-parallel training with the loss of the whole batch. Each process holds the whole model and computes the
vectors or scores of its shard of a batch; :func:`all_reduce` and :func:`gather_rows` bring in what the loss
takes from the others. All processes then have the same loss, and each has the gradient of its own shard;
:func:`all_reduce_gradients` adds these up to the gradient of the whole batch. Without a process group (one
process) these functions return their input.

DistributedDataParallel does not fit: it averages losses that each see one shard alone, hides the attributes
of the wrapped model, and searches in every step for parameters without a gradient, such as a pooler's.
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
from peftir.system.processes import spawn_workers

T = TypeVar("T")

PATIENCE = timedelta(days=1)  # the others wait while the first evaluates; one that died is noticed at once


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's rank; rank 0 writes and evaluates."""
    return dist.get_rank() if dist.is_initialized() else 0


def shard(items: Sequence[T]) -> Sequence[T]:
    """This process's shard of ``items``: contiguous, and of equal length in all processes up to one item."""
    return items[_shard_of(len(items))]


def _shard_of(count: int) -> slice:
    return slice(count * rank() // world_size(), count * (rank() + 1) // world_size())


class _AllReduce(torch.autograd.Function):
    """The sum over the processes; the backward pass returns the gradient of this process's term alone."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        summed = value.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def all_reduce(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes; only this process's term has a gradient."""
    return _AllReduce.apply(value) if world_size() > 1 else value


def gather_rows(rows: Tensor, count: int) -> Tensor:
    """The rows of all processes in order, ``[count, d]``; only this process's rows have a gradient.

    Args:
        rows: ``[n, d]``, one for each item of this process's shard.
        count: the number of items over all processes.
    """
    if world_size() == 1:
        return rows
    mine = _shard_of(count)
    # A sum with zeros: shards may differ in length, and every backend can do it.
    padded = nn.functional.pad(not_rounded(rows), (0, 0, mine.start, count - mine.stop))
    return all_reduce(padded).to(rows.dtype)


def all_reduce_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over all processes, in place."""
    if world_size() == 1:
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def broadcast(value: Callable[[], float]) -> float:
    """The result of ``value()`` at rank 0, in all processes; only rank 0 calls it."""
    if world_size() == 1:
        return value()
    number = torch.tensor(value() if rank() == 0 else 0.0, dtype=torch.float64, device=device())
    dist.broadcast(number, 0)
    return number.item()


def all_gather(value: Tensor) -> Tensor:
    """``value`` of every process, ``[world_size, …]``, on the CPU."""
    if world_size() == 1:
        return value[None]
    rows = torch.zeros(world_size(), *value.shape, dtype=value.dtype, device=device())
    rows[rank()] = value
    dist.all_reduce(rows)
    return rows.cpu()


def seed_per_rank() -> None:
    """Seed each rank differently; rank 0 keeps the random numbers of a single process."""
    if rank() > 0:
        # Far from the seeds of other trainings; only the last 32 bits of a larger number would count.
        torch.manual_seed(torch.initial_seed() + 1_000_003 * rank())


def launch(work: Callable[..., None], args: tuple[Any, ...], processes: int, key: str) -> None:
    """Run ``work(*args)`` in a process group: in new processes, or in those of torchrun or accelerate.

    One process runs here, without a group. Launchers set WORLD_SIZE in the environment.

    Args:
        work: a module-level function.
        args: its arguments; must pickle.
        processes: the number of processes.
        key: the key of that number in ``params.yaml``, for errors.

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
        _work_in_group(work, args, int(os.environ.get("LOCAL_WORLD_SIZE", processes)))
    else:
        store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        spawn_workers(_work_in_new_process, (processes, store.port, work, args), processes, key)


def _work_in_new_process(
    number: int, processes: int, port: int, work: Callable[..., None], args: tuple[Any, ...]
) -> None:
    """The main function of a process that :func:`launch` starts."""
    if number > 0:
        _silence()
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    _work_in_group(work, args, processes, store=store, rank=number, world_size=processes)


def _work_in_group(work: Callable[..., None], args: tuple[Any, ...], here: int, **place: Any) -> None:
    """Join the process group, of which ``here`` processes are on this machine, run ``work``, and leave it."""
    # NCCL wants a GPU for each process.
    backend = "nccl" if torch.cuda.is_available() and torch.cuda.device_count() >= here else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE, **place)
    work(*args)
    dist.destroy_process_group()


def _silence() -> None:
    """Send the output of this process to /dev/null, so that only rank 0 prints."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
