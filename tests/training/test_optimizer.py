"""AdamW as the settings ask for it, and the schedule of its learning rate."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModel

from peftir import tuners
from peftir.study.training import ScheduleName
from peftir.training.gradients import GradientNorms
from peftir.training.optimizer import new_optimizer, schedule
from peftir.training.settings import Settings
from peftir.training.state import TrainingState
from peftir.tuners import METHODS
from tiny_backbone import write_tiny_bert
from together import KNOBS

SETTINGS = Settings(0.1, 0.1, warmup=0.0, evaluate_every=1, precision="float32", dropout=False)


@pytest.mark.parametrize(
    ("kind", "shares"),
    [
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]),
        ("constant", [0.5, 1, 1, 1, 1, 1]),
    ],
)
def test_the_rate_rises_linearly_and_falls_as_the_schedule_says(
    kind: ScheduleName, shares: list[float]
) -> None:
    share = schedule(kind, 6, 0.3)
    assert [share(step) for step in range(6)] == pytest.approx(shares)


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
def test_a_schedule_of_warm_up_alone_ends_at_the_peak(kind: ScheduleName) -> None:
    share = schedule(kind, 4, 1.0)
    assert [share(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("type", [name for name in METHODS if name != "zero_shot"])
def test_weight_decay_is_of_matrices_alone_with_every_method(type: str, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(write_tiny_bert(tmp_path, ["word"]))
    tuners.attach(model, type, **KNOBS.get(type, {"rank": 2}))
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    settings = replace(SETTINGS, weight_decay=0.3)
    optimizer = new_optimizer(weights, tuners.vector_names(model), lambda name: False, settings)
    decay = {id(w): group["weight_decay"] for group in optimizer.param_groups for w in group["params"]}
    # (IA)³'s factors are vectors that PEFT shapes as matrices of one row or column.
    expected = {
        name: 0.0 if weight.squeeze().dim() < 2 or type == "ia3" else 0.3 for name, weight in weights.items()
    }
    assert {name: decay[id(weight)] for name, weight in weights.items()} == expected


def step(gradient: list[float], settings: Settings) -> tuple[TrainingState, nn.Linear]:
    """One step of a weight of two numbers, both 1, whose gradient is given."""
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    state = TrainingState(model, lambda name: False, settings, 1, GradientNorms({}), lambda point: None)

    def backward(batch: torch.Tensor) -> torch.Tensor:
        loss = model(batch).sum()
        loss.backward()
        return loss.detach()

    state.take_step(backward, torch.tensor([gradient]))
    return state, model


@pytest.mark.parametrize(("most", "averages"), [(1.0, [0.06, 0.08]), (5.5, [0.3, 0.4]), (None, [0.3, 0.4])])
def test_the_gradient_is_clipped_to_its_norm(most: float | None, averages: list[float]) -> None:
    # Its norm is 5, to which torch adds 1e-6, 2e-7 of it; the average of the first gradient is a tenth of it.
    state, model = step([3.0, 4.0], replace(SETTINGS, max_grad_norm=most))
    assert state.optimizer.state[model.weight]["exp_avg"][0].tolist() == pytest.approx(averages)


def test_averages_decay_by_betas_and_weights_by_their_decay() -> None:
    settings = replace(SETTINGS, betas=(0.5, 0.75), weight_decay=0.2, max_grad_norm=None)
    state, model = step([2.0, -4.0], settings)
    averages = state.optimizer.state[model.weight]
    assert averages["exp_avg"][0].tolist() == pytest.approx([1.0, -2.0])  # 0.5 of the gradient
    assert averages["exp_avg_sq"][0].tolist() == pytest.approx([1.0, 4.0])  # 0.25 of its square
    # The first step is the rate of 0.1 against the gradient's sign, after a decay by 0.1 · 0.2.
    assert model.weight[0].tolist() == pytest.approx([0.98 - 0.1, 0.98 + 0.1])
