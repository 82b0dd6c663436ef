"""Process groups, which share encoding and scoring; data-parallel training with the loss of the whole batch.

In training, each process holds the whole model and computes the vectors or scores of its shard of a batch.
:func:`all_reduce` and :func:`gather_rows` collect them from all processes. All processes then have the same
loss, and each has the gradient of its own shard. :func:`all_reduce_gradients` sums these to the gradient of
the whole batch. Without a process group (one process) these functions return their input.

DistributedDataParallel does not fit: it averages losses over single shards, hides the attributes of the
wrapped model, and searches in every step for parameters without a gradient, such as a pooler's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from peftir.models.precision import device, not_rounded
from peftir.system.errors import PeftirError
from peftir.system.files import replacing
from peftir.system.processes import spawn_workers
from peftir.system.resources import measured

T = TypeVar("T")

# The other processes wait while rank 0 evaluates. A process that dies is noticed without this timeout.
PATIENCE = timedelta(days=1)


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
    local = _shard_of(count)
    # All-reduce of zero-padded rows: shards may differ in length, and every backend supports it.
    padded = nn.functional.pad(not_rounded(rows), (0, 0, local.start, count - local.stop))
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
    """Call ``value`` at rank 0 and return its result in all processes."""
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


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        dist.barrier()


def seed_per_rank() -> None:
    """Seed each rank differently; rank 0 keeps the random numbers of a single process."""
    if rank() > 0:
        # Far from the seeds of other trainings; torch uses only the low 32 bits of a seed.
        torch.manual_seed(torch.initial_seed() + 1_000_003 * rank())


@contextmanager
def measured_once(path: Path) -> Iterator[dict[str, Any]]:
    """:func:`peftir.system.resources.measured` at rank 0; the other ranks write nothing."""
    if rank() > 0:
        yield {}
        return
    with measured(path) as figures:
        yield figures


@contextmanager
def replacing_once(path: Path) -> Iterator[Path]:
    """:func:`peftir.system.files.replacing` at rank 0; the other ranks write nothing."""
    if rank() > 0:
        yield path
        return
    with replacing(path) as partial:
        yield partial


def launch(work: Callable[..., object], args: tuple[Any, ...], processes: int, key: str) -> None:
    """Run ``work(*args)`` in a process group: in new processes, or in those that a launcher has started.

    A single process is this one, without a group. Launchers set WORLD_SIZE in the environment: torchrun,
    accelerate, and ``peftir repro`` on a cluster. The processes share the threads of the calling one.

    Args:
        work: a module-level function; what it returns is ignored.
        args: its arguments; must be picklable.
        processes: the number of processes.
        key: the key of ``processes`` in ``params.yaml``, for errors.

    Raises:
        PeftirError: raised by a process; a process was killed; a launcher started another number.
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
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
        if os.environ["RANK"] != "0":
            _silence(1)  # its errors are of interest
        _work_in_group(work, args, int(os.environ.get("LOCAL_WORLD_SIZE", processes)))
    else:
        store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        spawn_workers(_work_in_new_process, (processes, store.port, work, args), processes, key)


def _work_in_new_process(
    number: int, processes: int, port: int, work: Callable[..., object], args: tuple[Any, ...]
) -> None:
    """The main function of a process that :func:`launch` starts."""
    if number > 0:
        _silence(1, 2)
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    _work_in_group(work, args, processes, store=store, rank=number, world_size=processes)


def _work_in_group(
    work: Callable[..., object], args: tuple[Any, ...], local_processes: int, **rendezvous: Any
) -> None:
    """Join the process group, with ``local_processes`` on this machine, run ``work``, and leave the group."""
    # NCCL needs a GPU for each process.
    enough = torch.cuda.is_available() and torch.cuda.device_count() >= local_processes
    backend = "nccl" if enough else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE, **rendezvous)
    work(*args)
    dist.destroy_process_group()


def _silence(*streams: int) -> None:
    """Send output of this process to /dev/null, so that only rank 0 prints."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(devnull, stream)
