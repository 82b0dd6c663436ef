"""Start worker processes on this machine."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from typing import Any

import torch
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from peftir.system.errors import PeftirError

GRACE = 5.0  # seconds for the other workers to exit after one has failed
LIBRARIES = ("torch", "transformers", "sentence_transformers", "peft")
"""What takes seconds to import, and starts no threads."""
SOCKET = 32  # bytes that multiprocessing adds to the path of the temporary folder for the forkserver's socket


def spawn_workers(work: Callable[..., None], args: tuple[Any, ...], processes: int, key: str) -> None:
    """Run ``work(rank, *args)`` in each of ``processes`` new processes.

    They are forked from a process that has imported the same libraries as this one and done nothing else, so
    that not every worker imports them. The threads are divided among the workers. On a machine with GPUs,
    each worker uses the next one. If a worker fails, the others are stopped.

    Args:
        work: a module-level function; ranks start from 0.
        args: picklable; results can be written to tensors in shared memory.
        processes: number of workers.
        key: the setting in ``params.yaml`` with the number of workers.

    Raises:
        PeftirError: raised by a worker, or a worker was killed.
    """
    method = _start_method()
    if method == "forkserver":
        get_context(method).set_forkserver_preload([name for name in LIBRARIES if name in sys.modules])
    errors = get_context(method).SimpleQueue()
    threads = max(1, torch.get_num_threads() // processes)
    given = (dict(os.environ), threads, errors, work, args)
    started = start_processes(_start, given, nprocs=processes, join=False, start_method=method)
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


def _start_method() -> str:
    """``forkserver``, or ``spawn`` where that is not possible."""
    # macOS libraries do not support a fork without an exec; the path of a socket has at most 107 bytes.
    short = len(os.fsencode(tempfile.gettempdir())) + SOCKET <= 107
    return "forkserver" if sys.platform == "linux" and short else "spawn"


def _start(
    rank: int,
    environment: dict[str, str],
    threads: int,
    errors: Any,
    work: Callable[..., None],
    args: tuple[Any, ...],
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)  # the forkserver has that of the first call
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


def _end_with_parent() -> None:
    """Exit this process when the one that called :func:`spawn_workers` has ended, even if killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
