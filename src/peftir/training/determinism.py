"""The same numbers when the same work is done again: what chance follows from, and how a GPU adds."""

from __future__ import annotations

import os

import torch
import torch.utils.deterministic
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Draw random numbers from ``seed`` on, and let a GPU add in the same order every time.

    A processor does so of itself. A GPU adds the gradients of the embeddings, which full fine-tuning alone
    trains, in the order in which its threads end, so that two trainings from one seed come out apart. Where
    an operation of a backbone knows no fixed order, torch warns and goes on.
    """
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the GPU first multiplies
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Nothing here reads such memory. The attribute is made when torch starts, where mypy does not see it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def random_state() -> dict[str, Tensor]:
    """The state of torch's random generators."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore_random(state: dict[str, Tensor]) -> None:
    """Put back what :func:`random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
