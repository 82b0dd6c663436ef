"""Work that several new processes of this machine share."""

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

GRACE = 5.0  # seconds that the others have for ending by themselves when one has failed


def spawn_workers(work: Callable[..., None], args: tuple[Any, ...], processes: int, key: str) -> None:
    """Run ``work(number, *args)`` in each of ``processes`` new processes.

    Each gets its part of the threads and, on a machine with GPUs, the next of them. If one fails, the others
    are stopped.

    Args:
        work: a function of a module, which counts the processes from 0.
        args: what pickles; a tensor in shared memory is for results.
        processes: how many.
        key: the setting in ``params.yaml`` that says how many.

    Raises:
        PeftirError: the one that a process raised, or a process was killed.
    """
    errors = get_context("spawn").SimpleQueue()
    threads = max(1, torch.get_num_threads() // processes)
    started = spawn(_start, (os.getpid(), threads, errors, work, args), nprocs=processes, join=False)
    try:
        while not started.join(grace_period=GRACE):
            pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        # The first to end need not be the one with the mistake: the others lose their connection to that.
        if not errors.empty():
            raise PeftirError(errors.get()) from error
        if isinstance(error, ProcessExitedException):
            raise PeftirError(
                f"{key}: {processes}: {error}; most often memory is full: set it lower and run again"
            ) from error
        raise


def _start(
    number: int, parent: int, threads: int, errors: Any, work: Callable[..., None], args: tuple[Any, ...]
) -> None:
    end_with(parent)
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        gpu = number % torch.cuda.device_count()
        torch.cuda.set_device(gpu)
        os.environ["LOCAL_RANK"] = str(gpu)  # where sentence-transformers looks for the GPU to take
    try:
        work(number, *args)
    except PeftirError as error:
        errors.put(str(error))
        sys.exit(1)
