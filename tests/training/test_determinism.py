"""Where chance comes from, and the order of sums on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from peftir.training.determinism import seed_everything

ASKED = """
import os, torch
torch.cuda.is_available = lambda: {gpu}
from peftir.training.determinism import seed_everything
seed_everything(13)
print(torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
      os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
"""


def test_chance_follows_from_the_seed() -> None:
    def drawn(seed: int) -> list[float]:
        seed_everything(seed)
        return torch.rand(4).tolist()

    assert drawn(13) == drawn(13) != drawn(14)


@pytest.mark.parametrize(("gpu", "asked"), [(True, "True True :4096:8"), (False, "False False None")])
def test_a_gpu_is_asked_for_a_fixed_order_where_there_is_one(gpu: bool, asked: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    command = [sys.executable, "-c", ASKED.format(gpu=gpu)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == asked
