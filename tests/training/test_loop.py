"""The training loop on a model small enough to work out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModel

from peftir import tuners
from peftir.system.errors import PeftirError
from peftir.training.checkpoint import Checkpoint
from peftir.training.gradients import GradientNorms
from peftir.training.loop import train
from peftir.training.optimizer import schedule
from peftir.training.settings import Settings
from peftir.training.state import Point, TrainingState
from tiny_backbone import write_tiny_bert

SETTINGS = Settings(0.1, 0.5, warmup=0.0, evaluate_every=2, precision="float32", dropout=True)


def run(
    model: nn.Module,
    devs: list[float],
    steps: int = 4,
    settings: Settings = SETTINGS,
    head=lambda name: False,
):
    points: list[Point] = []
    values = iter(devs)
    outcome = train(
        model,
        [torch.ones(1, 2, dtype=next(model.parameters()).dtype)] * steps,
        backward(lambda batch: model(batch).sum()),
        lambda: next(values),
        settings,
        points.append,
        head,
    )
    return outcome, points


def backward(loss_of: Callable[[Any], torch.Tensor]) -> Callable[[Any], torch.Tensor]:
    """The backward pass of a loss, as the loop takes it."""

    def run(batch: Any) -> torch.Tensor:
        loss = loss_of(batch)
        loss.backward()
        return loss.detach()

    return run


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def test_the_weights_of_the_best_step_are_kept_and_of_equal_ones_the_first() -> None:
    model, same = linear().double(), linear().double()
    outcome, _ = run(model, [0.1, 0.7, 0.7])
    assert (outcome.best_step, outcome.best_dev) == (2, 0.7)
    # The same schedule stopped after its second step, by an independent loop.
    optimizer = torch.optim.AdamW(
        [{"params": [same.weight]}, {"params": [same.bias], "weight_decay": 0.0}], lr=0.1
    )
    for factor in (
        1.0,
        1.0,
    ):  # the rate of step 0 ends the rise, that of step 1 starts the fall from its peak
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * factor
        same(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
        nn.utils.clip_grad_norm_(same.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    for weight, expected in zip(model.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-12)


def test_training_that_never_helps_leaves_the_model_as_it_was() -> None:
    model = linear()
    before = model.weight.clone()
    outcome, _ = run(model, [0.9, 0.1, 0.2])
    assert outcome.best_step == 0
    assert torch.equal(model.weight, before)


def test_the_curve_has_step_0_every_nth_and_the_last_with_mean_losses() -> None:
    model = linear()
    _, points = run(model, [0.0, 0.1, 0.2, 0.3], steps=5)
    assert [(point.step, point.dev) for point in points] == [(0, 0.0), (2, 0.1), (4, 0.2), (5, 0.3)]
    assert points[0].loss is None
    first = linear()(torch.ones(1, 2)).sum().item()
    assert points[1].loss is not None and points[1].loss < first


def test_the_rate_rises_and_falls_linearly() -> None:
    factor = schedule("linear", 10, 0.2)
    assert [round(factor(step), 3) for step in range(10)] == [
        0.5,
        1,
        1,
        0.875,
        0.75,
        0.625,
        0.5,
        0.375,
        0.25,
        0.125,
    ]


def test_the_head_has_its_own_rate() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    before = [p.detach().clone() for p in model.parameters()]
    run(model, [0.0, 1.0], steps=1, head=lambda name: name.startswith("1."))
    body, head = ((b - p).abs().max().item() for b, p in zip(before, model.parameters(), strict=True))
    # The first step of Adam moves each weight by its rate, and decay by a hundredth of that times the weight,
    # which is below 1.
    assert body == pytest.approx(0.1, rel=0.01)
    assert head == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(("type", "decays"), [("ia3", {False}), ("lora", {True})])
def test_matrices_decay_and_factors_do_not(tmp_path: Path, type: str, decays: set[bool]) -> None:
    model = AutoModel.from_pretrained(write_tiny_bert(tmp_path, ["word"]))
    tuners.attach(model, type, **({"rank": 1} if type == "lora" else {}))
    norms, points = GradientNorms({}), list[Point]()
    state = TrainingState(model, lambda name: False, SETTINGS, 1, norms, points.append)
    assert {group["weight_decay"] > 0 for group in state.optimizer.param_groups} == decays
    before = {name: weight.detach().clone() for name, weight in state.weights.items()}
    state.take_step(backward(lambda batch: 0.0 * sum(w.sum() for w in state.weights.values())), None)
    # Without a gradient, what a step changes is the decay: by the rate times 0.01.
    for name, weight in state.weights.items():
        assert torch.allclose(weight, before[name] * (1 - 0.1 * 0.01 * (True in decays)), atol=1e-7)


def test_frozen_weights_stay_and_nothing_to_train_is_evaluated_once() -> None:
    model = linear().requires_grad_(False)
    before = model.weight.clone()
    outcome, points = run(model, [0.4], steps=0)
    assert (outcome.best_step, outcome.best_dev, len(points)) == (0, 0.4, 1)
    assert torch.equal(model.weight, before)


def test_a_loss_that_is_no_number_stops_with_a_hint() -> None:
    model = linear()
    with pytest.raises(PeftirError, match=r"the loss is nan at step 1; a lower learning_rate \(now 0.1\)"):
        train(
            model,
            [torch.full((1, 2), math.nan)],
            backward(lambda b: model(b).sum()),
            lambda: 0.0,
            SETTINGS,
            lambda p: None,
            lambda name: False,
        )


def test_gradients_are_recorded_before_clipping_and_seconds_without_evaluation() -> None:
    model = linear()
    settings = Settings(1e-9, 1e-9, warmup=0.0, evaluate_every=2, precision="float32", dropout=True)
    values = iter([0.0, 0.1, 0.2])
    outcome = train(
        model,
        [torch.full((1, 2), 3.0), torch.full((1, 2), 6.0), torch.full((1, 2), 8.0)],
        backward(lambda batch: model(batch).sum()),
        lambda: next(values),
        settings,
        lambda point: None,
        lambda name: False,
        modules={"weight": [model.weight], "bias": [model.bias]},
    )
    # The gradient of the sum is the input: norms of (3, 3) and (6, 6), then of (8, 8).
    assert outcome.gradients["weight"] == pytest.approx([4.5 * math.sqrt(2), 8 * math.sqrt(2)])
    assert outcome.gradients["bias"] == pytest.approx([1, 1])
    assert list(outcome.seconds_at) == [0, 2, 3]
    assert outcome.seconds_at[0] == 0 and sorted(outcome.seconds_at.values()) == list(
        outcome.seconds_at.values()
    )


class Killed(BaseException):
    """Stands for a kill: nothing that handles errors sees it."""


def interrupted(folder: Path, kills: list[int], identity: str = "same") -> tuple[nn.Module, Any, list[Point]]:
    """A training with dropout that is killed in its n-th step, for each n of ``kills``, and started again."""
    for kill in [*kills, None]:
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        points: list[Point] = []
        taken = 0

        def loss_of(batch: torch.Tensor, model: nn.Module = model, kill: int | None = kill) -> torch.Tensor:
            nonlocal taken
            taken += 1
            if taken == kill:
                raise Killed
            return model(batch).square().mean()

        try:
            outcome = train(
                model,
                [torch.full((6, 4), float(i)) for i in range(9)],
                backward(loss_of),
                lambda model=model: -model(torch.ones(1, 4)).square().item(),
                SETTINGS,
                points.append,
                lambda name: False,
                modules={"all": list(model.parameters())},
                checkpoint=Checkpoint(folder, identity, every=0.0),
            )
        except Killed:
            continue
    return model, (outcome, taken), points


def test_a_killed_training_goes_on_to_the_same_weights_and_the_same_curve(tmp_path: Path) -> None:
    model, (outcome, taken), points = interrupted(tmp_path / "a", kills=[])
    again, (same, few), same_points = interrupted(tmp_path / "b", kills=[4, 4, 1])
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert same_points == points
    assert (same.best_step, same.best_dev, same.gradients) == (
        outcome.best_step,
        outcome.best_dev,
        outcome.gradients,
    )
    # Nine steps undisturbed; the last of the killed ones had only the steps after its checkpoint to take.
    assert (taken, few) == (9, 5)


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    Checkpoint(folder, "one").save({"a": torch.ones(2)}, {"step": 1})
    assert Checkpoint(folder, "one").load() is not None
    assert Checkpoint(folder, "other").load() is None
    (folder / "state.safetensors").write_bytes(b"cut")
    assert Checkpoint(folder, "one").load() is None


@pytest.mark.parametrize("dropout", [True, False])
def test_the_backbones_dropout_is_on_or_off_as_asked(dropout: bool) -> None:
    model = nn.Sequential(nn.Dropout(0.5), linear())
    on: list[bool] = []
    train(
        model,
        [torch.ones(1, 2)] * 2,
        backward(lambda batch: on.append(model[0].training) or model(batch).sum()),
        lambda: 0.0,
        Settings(0.1, 0.1, warmup=0.0, evaluate_every=1, precision="float32", dropout=dropout),
        lambda point: None,
        lambda name: False,
    )
    assert on == [dropout, dropout]
