"""Read the training runs recorded by the stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.system.files import replacing


@dataclass(frozen=True)
class TrainingRun:
    """The record of one model's training."""

    type: str
    """The type of the method."""
    dev: pd.Series
    """The measure on dev, by step."""
    loss: pd.Series
    """The mean training loss since the previous point, by step."""
    seconds: dict[int, float]
    """Seconds of training up to each point, without evaluation, by step."""
    seconds_per_step: float
    peak_memory_mb: int
    stored_bytes: int

    def seconds_at(self, step: int | None) -> float | None:
        """Seconds of training up to ``step``, a point of the curve."""
        return None if step is None else self.seconds[step]


def read_runs(root: Path, params: Params, stage: StageName) -> dict[str, list[TrainingRun]]:
    """Read the runs of all trained variants, in the order of the seeds.

    Raises:
        PeftirError: an artefact is missing or malformed.
    """
    measure = params.training(stage).selected_by
    return {
        variant: [read_run(root, stage, variant, seed, measure) for seed in params.seeds.at(stage)]
        for variant in params.variants.trained(stage)
    }


def read_run(root: Path, stage: StageName, variant: str, seed: Seed, measure: str) -> TrainingRun:
    """Read one run.

    Raises:
        PeftirError: an artefact is missing or malformed.
    """

    def artefact(path: Path) -> Artefact:
        return Artefact(root, path, f"train_{stage}")

    training = artefact(layout.training(stage, variant, seed))
    content = training.json()
    curves = layout.curve(stage, variant, seed) / "plots/metrics"
    resources = artefact(layout.resources(f"train_{stage}", variant, seed))
    spent = resources.json()
    dev = artefact(curves / f"dev/{measure}.tsv").curve()
    seconds = {int(step): float(value) for step, value in resources.get(spent, "seconds_at").items()}
    if set(seconds) != set(dev.index):
        raise resources.wrong("seconds_at: expected the steps of the learning curve")
    return TrainingRun(
        type=str(training.get(content, "type")),
        dev=dev,
        loss=artefact(curves / "train/loss.tsv").curve(),
        seconds=seconds,
        seconds_per_step=resources.number(spent, "seconds_per_step"),
        peak_memory_mb=int(resources.number(spent, "peak_memory_mb")),
        stored_bytes=int(training.number(content, "bytes")),
    )


def write_curves(path: Path, runs: dict[str, list[TrainingRun]], seeds: list[Seed]) -> None:
    """Write all curves as one table, one point per line; the loss at step 0 is empty."""
    tables = [
        pd.DataFrame({"dev": run.dev, "loss": run.loss}).assign(variant=variant, seed=seed).reset_index()
        for variant, variant_runs in runs.items()
        for seed, run in zip(seeds, variant_runs, strict=True)
    ]
    columns = ["variant", "seed", "step", "dev", "loss"]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=columns)
    with replacing(path) as partial:
        table[columns].round(4).to_csv(partial, sep="\t", index=False)
