"""Set the number of threads, which affects the last bits of results."""

from __future__ import annotations

import os
import sys

# numpy's matrix products are small here, and must not depend on the machine.
_ONE = ("OPENBLAS_NUM_THREADS",)
_AS_MANY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def before_imports(threads: int | None = None) -> None:
    """Set the environment variables that numpy and torch read on import.

    Args:
        threads: of torch, faiss and the tokenizers, as in :func:`use_threads`; ``None`` leaves theirs.
    """
    for name in _ONE:
        os.environ[name] = "1"
    if threads is not None:
        _set_for_later_imports(threads)
    # By default torch's threads busy-wait for so long that two processes on the same cores, as with
    # `dvc queue start -j 2`, take three times as long as one after the other.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def use_threads(count: int) -> None:
    """Use ``count`` threads in torch, faiss and the tokenizers, in this process and its children.

    Call it before any computation. The setting overrides the environment.
    """
    import torch

    _set_for_later_imports(count)
    torch.set_num_threads(count)
    if faiss := sys.modules.get("faiss"):
        faiss.omp_set_num_threads(count)


def _set_for_later_imports(count: int) -> None:
    """Set what is read by libraries imported later, and by child processes."""
    for name in _AS_MANY:
        os.environ[name] = str(count)
