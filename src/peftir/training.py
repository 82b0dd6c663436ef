"""The training loop that both stages share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from peftir.errors import PeftirError
from peftir.learning.gradients import GradientNorms
from peftir.precision import computing_in

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Settings:
    """How a model is trained; ``warmup`` is a share of the steps, rates are peaks after it."""

    learning_rate: float
    head_learning_rate: float
    warmup: float
    evaluate_every: int
    precision: str


@dataclass(frozen=True)
class Point:
    """One point of a learning curve: the dev measure at a step, and the mean loss since the point before."""

    step: int
    dev: float
    loss: float | None


@dataclass(frozen=True)
class Outcome:
    """Where the best dev measure was found, what the steps took, and what gradients they had.

    Seconds are without evaluation: ``seconds_at`` has those up to each point of the learning curve, by step.
    ``gradients`` has the mean gradient norm of each module, before clipping, since the point before; a value
    for each point after step 0.
    """

    best_step: int
    best_dev: float
    seconds_per_step: float
    seconds_at: dict[int, float]
    gradients: dict[str, list[float]]


def train(
    model: nn.Module,
    batches: Sequence[Batch],
    loss_of: Callable[[Batch], Tensor],
    evaluate: Callable[[], float],
    settings: Settings,
    on_point: Callable[[Point], None],
    head: Callable[[str], bool] = lambda name: False,
    modules: Mapping[str, list[nn.Parameter]] | None = None,
) -> Outcome:
    """Train the trainable weights of ``model`` and leave it at its best step on dev.

    AdamW, a learning rate that rises linearly and falls linearly to 0, gradients clipped to norm 1. The dev
    measure is taken at step 0, every ``evaluate_every`` steps and at the last; of equal ones the first stays.

    Args:
        batches: one a step.
        loss_of: the scalar loss of a batch.
        evaluate: the dev measure of the model as it stands.
        on_point: called with every point of the learning curve.
        head: tells by a weight's name whether it belongs to the head, which has a rate of its own.
        modules: weights by name of their module, whose gradients are recorded.

    Raises:
        PeftirError: the loss is no longer a number.
    """
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(
        _groups(weights, head, settings) or [{"params": []}], weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rise_and_fall(len(batches), settings.warmup))
    best = _Best(weights)
    _evaluate(model, evaluate, best, 0, [], on_point)
    losses: list[float] = []
    norms = GradientNorms(modules or {})
    seconds = 0.0
    seconds_at = {0: 0.0}
    for step, batch in enumerate(tqdm(batches, desc="training", unit="step", mininterval=5), start=1):
        start = time.perf_counter()
        losses.append(_step(model, loss_of, batch, weights, optimizer, norms, settings.precision))
        schedule.step()
        seconds += time.perf_counter() - start
        if not torch.isfinite(torch.tensor(losses[-1])):
            raise PeftirError(
                f"training: the loss is {losses[-1]} at step {step}; a lower learning_rate "
                f"(now {settings.learning_rate:g}) usually mends this"
            )
        if step % settings.evaluate_every == 0 or step == len(batches):
            _evaluate(model, evaluate, best, step, losses, on_point)
            losses = []
            norms.end_point()
            seconds_at[step] = round(seconds, 2)
    best.restore()
    per_step = round(seconds / max(1, len(batches)), 3)
    return Outcome(best.step, best.dev, per_step, seconds_at, norms.means)


class _Best:
    """The trainable weights at the best dev measure so far."""

    def __init__(self, weights: dict[str, nn.Parameter]) -> None:
        self._weights = weights
        self._kept: dict[str, Tensor] = {}
        self.step, self.dev = -1, float("-inf")

    def offer(self, step: int, dev: float) -> None:
        if dev > self.dev:
            self.step, self.dev = step, dev
            self._kept = {name: weight.detach().clone() for name, weight in self._weights.items()}

    def restore(self) -> None:
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(self._kept[name])


def _step(
    model: nn.Module,
    loss_of: Callable[[Batch], Tensor],
    batch: Batch,
    weights: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    norms: GradientNorms,
    precision: str,
) -> float:
    model.train()
    with computing_in(precision):
        loss = loss_of(batch)
    loss.backward()
    norms.add()
    nn.utils.clip_grad_norm_(weights.values(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def _evaluate(
    model: nn.Module,
    evaluate: Callable[[], float],
    best: _Best,
    step: int,
    losses: list[float],
    on_point: Callable[[Point], None],
) -> None:
    model.eval()
    dev = evaluate()
    best.offer(step, dev)
    on_point(Point(step, dev, sum(losses) / len(losses) if losses else None))


def _groups(
    weights: dict[str, nn.Parameter], head: Callable[[str], bool], settings: Settings
) -> list[dict[str, object]]:
    """The optimizer's groups: the head with its own rate; no weight decay on biases and norms."""
    groups = []
    for of_head, rate in ((False, settings.learning_rate), (True, settings.head_learning_rate)):
        for decays in (True, False):
            chosen = [w for name, w in weights.items() if head(name) is of_head and (w.dim() > 1) is decays]
            if chosen:
                groups.append({"params": chosen, "lr": rate} | ({} if decays else {"weight_decay": 0.0}))
    return groups


def _rise_and_fall(steps: int, warmup: float) -> Callable[[int], float]:
    """Factor of the peak learning rate at a step counted from 0."""
    rising = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))

    return factor
