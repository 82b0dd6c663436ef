"""The training loop of retrievers and re-rankers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from torch import Tensor, nn
from tqdm import tqdm

from peftir.training.checkpoint import Checkpoint
from peftir.training.costs import Costs, StepMeter, step_memory
from peftir.training.distributed import broadcast, rank, seed_per_rank
from peftir.training.gradients import GradientNorms
from peftir.training.settings import Settings
from peftir.training.state import Batch, Point, TrainingState

Batch_co = TypeVar("Batch_co", covariant=True)


class SizedIterable(Protocol[Batch_co]):
    """The batches of a training: a list, or an object that draws them in each iteration."""

    def __len__(self) -> int:
        """The number of batches."""

    def __iter__(self) -> Iterator[Batch_co]:
        """Iterate from the first batch."""


@dataclass(frozen=True)
class Outcome:
    """The result of a training.

    Attributes:
        best_step: the step with the best dev measure.
        best_dev: the best dev measure.
        seconds_per_step: mean seconds per step, without evaluation.
        seconds_at: seconds up to each point of the learning curve, by step, without evaluation.
        gradients: mean gradient norms since the previous point, before clipping, by module; one value per
            point after step 0.
        costs: of the steps since the training was started or resumed.
    """

    best_step: int
    best_dev: float
    seconds_per_step: float
    seconds_at: dict[int, float]
    gradients: dict[str, list[float]]
    costs: Costs


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
    """Train ``model`` and restore the weights of its best step on dev.

    The dev measure is computed at step 0, every ``evaluate_every`` steps and at the last step; of equal
    values, the first counts. In a process group (:mod:`peftir.training.distributed`) every process calls this
    function with the same arguments.

    Args:
        batches: one per step, the same in each iteration over them.
        backward: accumulates the gradients of a batch's loss in the weights and returns the scalar loss.
        evaluate: returns the dev measure of the model with its current weights.
        on_point: called with every point of the learning curve.
        head: a predicate: whether a weight, by its name, belongs to the head, with its own learning rate.
        modules: weights by name of their module, whose gradient norms are recorded.
        checkpoint: the checkpoint to resume from and to write; the result does not depend on it.

    Raises:
        PeftirError: the loss is not finite.
    """
    seed_per_rank()
    run = TrainingState(model, head, settings, len(batches), GradientNorms(modules or {}), on_point)
    if not (checkpoint and run.resume(checkpoint)):
        run.end_point(0, evaluate)
    remaining = islice(batches, run.step, None)
    progress = {"unit": "step", "mininterval": 5, "initial": run.step, "disable": rank() > 0}
    meter, before = StepMeter(), run.seconds
    with meter.counting(model):
        for batch in tqdm(remaining, "training", len(batches), **progress):
            with meter.step():
                run.take_step(backward, batch)
            if run.step % settings.evaluate_every == 0 or run.step == len(batches):
                run.end_point(run.step, evaluate)
                if checkpoint and run.step < len(batches) and broadcast(checkpoint.due):
                    run.save(checkpoint)
    memory = step_memory(model, run.optimizer, run.best.kept.values(), meter.peak)
    costs = Costs(memory, *meter.read(), seconds=run.seconds - before)
    run.best.restore()
    per_step = round(run.seconds / max(1, len(batches)), 3)
    return Outcome(run.best.step, run.best.dev, per_step, run.seconds_at, run.norms.means, costs)
