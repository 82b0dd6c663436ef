"""The training loop that both stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from torch import Tensor, nn
from tqdm import tqdm

from peftir.training.checkpoint import Checkpoint
from peftir.training.distributed import broadcast, rank, seed_per_rank
from peftir.training.gradients import GradientNorms
from peftir.training.settings import Settings
from peftir.training.state import Batch, Point, TrainingState

Batch_co = TypeVar("Batch_co", covariant=True)


class SizedIterable(Protocol[Batch_co]):
    """The batches of a training: a list, or an object that draws them anew in each iteration."""

    def __len__(self) -> int:
        """The number of batches."""

    def __iter__(self) -> Iterator[Batch_co]:
        """Start from the first batch."""


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
    batches: SizedIterable[Batch],
    backward: Callable[[Batch], Tensor],
    evaluate: Callable[[], float],
    settings: Settings,
    on_point: Callable[[Point], None],
    head: Callable[[str], bool],
    modules: Mapping[str, list[nn.Parameter]] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Train the trainable weights of ``model`` and leave it at its best step on dev.

    The dev measure is taken at step 0, every ``evaluate_every`` steps and at the last; of equal ones the
    first stays. In a group (:mod:`peftir.training.distributed`) every process calls this with the same
    arguments.

    Args:
        batches: one a step, the same in each iteration over them.
        backward: adds the gradients of a batch's loss to those of the weights, and gives the loss, a scalar.
        evaluate: the dev measure of the model as it stands.
        on_point: called with every point of the learning curve.
        head: tells by a weight's name whether it belongs to the head, which has a rate of its own.
        modules: weights by name of their module, whose gradients are recorded.
        checkpoint: where the state is kept for going on after a kill; the result is the same as without.

    Raises:
        PeftirError: the loss is no longer a number.
    """
    seed_per_rank()
    run = TrainingState(model, head, settings, len(batches), GradientNorms(modules or {}), on_point)
    if not (checkpoint and run.resume(checkpoint)):
        run.end_point(0, evaluate)
    left = islice(batches, run.step, None)
    progress = {"unit": "step", "mininterval": 5, "initial": run.step, "disable": rank() > 0}
    for batch in tqdm(left, "training", len(batches), **progress):
        run.take_step(backward, batch)
        if run.step % settings.evaluate_every == 0 or run.step == len(batches):
            run.end_point(run.step, evaluate)
            if checkpoint and run.step < len(batches) and broadcast(checkpoint.due):
                run.save(checkpoint)
    run.best.restore()
    per_step = round(run.seconds / max(1, len(batches)), 3)
    return Outcome(run.best.step, run.best.dev, per_step, run.seconds_at, run.norms.means)
