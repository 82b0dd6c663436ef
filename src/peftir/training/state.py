"""The state of a training in progress, which its checkpoints hold."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from peftir import tuners
from peftir.models.precision import computing_in
from peftir.system.errors import PeftirError
from peftir.training.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from peftir.training.determinism import random_state, restore_random
from peftir.training.distributed import all_gather, all_reduce_gradients, broadcast, rank
from peftir.training.gradient_checkpointing import recomputing_layers
from peftir.training.gradients import GradientNorms
from peftir.training.optimizer import new_optimizer, schedule
from peftir.training.settings import Settings

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Point:
    """A point of a learning curve: the dev measure at a step, and the mean loss since the previous point."""

    step: int
    dev: float
    loss: float | None


class TrainingState:
    """The state of a training in progress: weights, optimizer, random generators and learning curve."""

    def __init__(
        self,
        model: nn.Module,
        head: Callable[[str], bool],
        settings: Settings,
        steps: int,
        norms: GradientNorms,
        on_point: Callable[[Point], None],
    ) -> None:
        self.model, self.settings, self.norms, self.on_point = model, settings, norms, on_point
        self.weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.optimizer = new_optimizer(self.weights, tuners.vector_names(model), head, settings)
        self.factor = schedule(settings.schedule, steps, settings.warmup)
        self.best = _Best(self.weights)
        self.step = 0
        self.losses: list[float] = []
        self.points: list[Point] = []
        self.seconds = 0.0
        self.seconds_at: dict[int, float] = {}

    def take_step(self, backward: Callable[[Batch], Tensor], batch: Batch) -> None:
        """Train on one batch; ``backward`` computes its gradients and returns its loss."""
        start = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self.factor(self.step)
        tuners.train_mode(self.model, backbone=self.settings.dropout)
        with computing_in(self.model, self.settings.precision), self._recomputing():
            loss = backward(batch)
        all_reduce_gradients(self.weights.values())
        self.norms.add()
        if self.settings.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.weights.values(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(loss.item())
        self.step += 1
        self.seconds += time.perf_counter() - start
        if not math.isfinite(self.losses[-1]):
            raise PeftirError(
                f"training: the loss is {self.losses[-1]} at step {self.step}; a lower learning_rate "
                f"(now {self.settings.learning_rate:g}) usually helps"
            )

    def _recomputing(self) -> AbstractContextManager[None]:
        return recomputing_layers(self.model) if self.settings.gradient_checkpointing else nullcontext()

    def end_point(self, step: int, evaluate: Callable[[], float]) -> None:
        """Add a point to the learning curve: the dev measure, and the mean loss since the previous point."""
        self.model.eval()
        dev = broadcast(evaluate)
        self.best.offer(step, dev)
        self._add_point(Point(step, dev, sum(self.losses) / len(self.losses) if self.losses else None))
        self.losses = []
        self.norms.end_point()
        self.seconds_at[step] = round(self.seconds, 2)

    def _add_point(self, point: Point) -> None:
        self.points.append(point)
        self.on_point(point)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the state, after :meth:`end_point`; in a process group all call this, and rank 0 writes."""
        kinds: dict[str, dict[str, Tensor]] = {
            "weight": {name: weight.data for name, weight in self.weights.items()},
            "best": self.best.kept,
            "optimizer": optimizer_tensors(self.optimizer, self.weights),
            "random": {name: all_gather(state) for name, state in random_state().items()},
        }
        if rank() > 0:
            return
        checkpoint.save(
            {f"{kind}:{name}": value for kind, values in kinds.items() for name, value in values.items()},
            {
                "step": self.step,
                "points": [asdict(point) for point in self.points],
                "best": [self.best.step, self.best.dev],
                "seconds": self.seconds,
                "seconds_at": list(self.seconds_at.items()),
                "norms": self.norms.means,
            },
        )

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Restore the saved state and return whether there was one."""
        state = checkpoint.load()
        # Machines that do not share the folder would resume from different steps.
        if not all_gather(torch.tensor(int(state is not None))).all() or state is None:
            return False
        tensors, facts = state
        kinds: dict[str, dict[str, Tensor]] = {"weight": {}, "best": {}, "optimizer": {}, "random": {}}
        for path, value in tensors.items():
            kind, _, name = path.partition(":")
            kinds[kind][name] = value
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(kinds["weight"][name])
        restore_optimizer(self.optimizer, self.weights, kinds["optimizer"])
        # A copy, since torch crashes on a state at an unaligned address.
        restore_random({name: states[rank()].clone() for name, states in kinds["random"].items()})
        self.best.kept, (self.best.step, self.best.dev) = kinds["best"], facts["best"]
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.seconds_at, self.norms.means = dict(facts["seconds_at"]), facts["norms"]
        for point in facts["points"]:
            self._add_point(Point(**point))
        return True


class _Best:
    """The trained weights with the best dev measure so far."""

    def __init__(self, weights: dict[str, nn.Parameter]) -> None:
        self._weights = weights
        self.kept: dict[str, Tensor] = {}
        self.step, self.dev = -1, float("-inf")

    def offer(self, step: int, dev: float) -> None:
        if dev > self.dev:
            self.step, self.dev = step, dev
            self.kept = {name: weight.detach().clone() for name, weight in self._weights.items()}

    def restore(self) -> None:
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(self.kept[name])
