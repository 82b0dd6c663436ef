"""How many threads a process computes with: the last bits of its results follow from that."""

from __future__ import annotations

import os
import sys

# numpy's matrix products are small here, and not to depend on the machine.
_ONE = ("OPENBLAS_NUM_THREADS",)
_AS_MANY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def before_imports() -> None:
    """Set what numpy and torch read when they are imported."""
    for name in _ONE:
        os.environ[name] = "1"
    # torch's threads wait for each other in a busy loop, by default for so long that two processes on the
    # same cores, as with `dvc queue start -j 2`, take three times what they take in turn.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def use_threads(count: int) -> None:
    """Let torch, faiss and the tokenizers take ``count`` threads, here and in processes started from here.

    Call it before anything is computed. What the environment says is overruled: a setting decides, not where
    the process happens to run.
    """
    import torch

    for name in _AS_MANY:  # read by what is imported later, and by new processes
        os.environ[name] = str(count)
    torch.set_num_threads(count)
    if faiss := sys.modules.get("faiss"):
        faiss.omp_set_num_threads(count)
