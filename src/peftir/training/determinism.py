"""Reproducibility: random seeds, and deterministic algorithms on a GPU."""

from __future__ import annotations

import os

import torch
import torch.utils.deterministic
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed torch's random generators, and use deterministic algorithms on a GPU.

    By default a GPU sums the gradients of the embeddings, which only full fine-tuning trains, in the order in
    which its threads finish, so two trainings with one seed differ. A CPU needs no setting. If an operation
    has no deterministic implementation, torch warns.
    """
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first matrix product
        torch.use_deterministic_algorithms(True, warn_only=True)
        # No code reads uninitialized memory. torch creates the attribute at run time, unseen by mypy.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def random_state() -> dict[str, Tensor]:
    """Return the state of torch's random generators."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore_random(state: dict[str, Tensor]) -> None:
    """Restore the state returned by :func:`random_state`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
