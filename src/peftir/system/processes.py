"""Spawn worker processes on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from peftir.system.errors import PeftirError
from peftir.system.orphans import end_with

GRACE = 5.0  # seconds for the other workers to exit after one has failed


def spawn_workers(work: Callable[..., None], args: tuple[Any, ...], processes: int, key: str) -> None:
    """Run ``work(rank, *args)`` in each of ``processes`` spawned workers.

    The threads are divided among the workers. On a machine with GPUs, each worker uses the next one. If a
    worker fails, the others are stopped.

    Args:
        work: a module-level function; ranks start from 0.
        args: picklable; results can be written to tensors in shared memory.
        processes: number of workers.
        key: the setting in ``params.yaml`` with the number of workers.

    Raises:
        PeftirError: raised by a worker, or a worker was killed.
    """
    errors = get_context("spawn").SimpleQueue()
    threads = max(1, torch.get_num_threads() // processes)
    started = spawn(_start, (os.getpid(), threads, errors, work, args), nprocs=processes, join=False)
    try:
        while not started.join(grace_period=GRACE):
            pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        # The first worker to exit need not be the cause: others may lose their connection to the failed one.
        if not errors.empty():
            raise PeftirError(errors.get()) from error
        if isinstance(error, ProcessExitedException):
            raise PeftirError(
                f"{key}: {processes}: {error}; most often memory is full: set it lower and run again"
            ) from error
        raise


def _start(
    rank: int, parent: int, threads: int, errors: Any, work: Callable[..., None], args: tuple[Any, ...]
) -> None:
    end_with(parent)
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        gpu = rank % torch.cuda.device_count()
        torch.cuda.set_device(gpu)
        os.environ["LOCAL_RANK"] = str(gpu)  # read by sentence-transformers to select the GPU
    try:
        work(rank, *args)
    except PeftirError as error:
        errors.put(str(error))
        sys.exit(1)
