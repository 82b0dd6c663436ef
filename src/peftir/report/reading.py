"""Reading the study from the artefacts of its stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from peftir import layout
from peftir.artefacts import Artefact
from peftir.report.study import STEPS, Interpolation, Model, Resources, StageStudy, Study, Task, Weights

if TYPE_CHECKING:
    from peftir.params import Params, TrainingParams

STAGE_OF: dict[Task, str] = {"retrieval": "retriever", "reranking": "reranker"}
NO_SEED = -1
"""The seed of a row that nothing random went into."""


def read_study(root: Path, params: Params) -> Study:
    """Read the artefacts of the variants and seeds that ``params`` names from the folder ``root``.

    Raises:
        PeftirError: an artefact is missing or not as expected.
    """
    manifest = Artefact(root, layout.COLLECTION / "manifest.json", "prepare")
    content = manifest.json()
    splits = manifest.get(content, "splits")
    return Study(
        params=params,
        documents=int(manifest.number(content, "documents")),
        queries={split: int(manifest.number(content, "splits", split, "queries")) for split in splits},
        retrieval=_read_stage(root, params, "retrieval"),
        reranking=_read_stage(root, params, "reranking"),
        resources={stage: _read_resources(root, stage) for stage in ("prepare", "bm25")},
    )


def rows_of(task: Task, variants: list[str]) -> list[str]:
    """The rows of a stage's results, as the metrics name them."""
    interpolated = [f"{variant}+bm25" for variant in variants] if task == "reranking" else []
    return ["bm25", *variants, *interpolated]


def _read_stage(root: Path, params: Params, task: Task) -> StageStudy:
    stage = STAGE_OF[task]
    variants = list(getattr(params.variants, stage))
    seeds = list(getattr(params.seeds, stage))
    measures = list(getattr(params.measures, task))
    settings: TrainingParams = getattr(params, stage)
    rows = rows_of(task, variants)
    metrics = Artefact(root, layout.metrics(task), "evaluate")
    content = metrics.json()
    return StageStudy(
        task=task,
        settings=settings,
        variants=variants,
        seeds=seeds,
        measures=measures,
        reference=next((name for name in variants if params.methods[name].type == "full"), None),
        means={row: {measure: metrics.number(content, row, measure) for measure in measures} for row in rows},
        per_query=_read_per_query(root, task, rows, seeds, measures[0]),
        models={
            v: [_read_model(root, task, v, seed, settings.selected_by) for seed in seeds] for v in variants
        },
    )


def _read_per_query(root: Path, task: Task, rows: list[str], seeds: list[int], measure: str) -> pd.DataFrame:
    artefact = Artefact(root, layout.PER_QUERY, "evaluate")
    table = artefact.table(
        columns=["row", "seed", "query", "value"],
        filters=[("stage", "==", task), ("measure", "==", measure), ("row", "in", rows)],
    )
    by_seed = table.pivot_table(index="query", columns=["row", "seed"], values="value", sort=True)
    means = {}
    for row in rows:
        expected = [NO_SEED] if row == "bm25" else seeds
        for seed in expected:
            if (row, seed) not in by_seed or by_seed[row, seed].isna().any():
                raise artefact.wrong(f"not every query has {measure} at {task} for row '{row}', seed {seed}")
        means[row] = by_seed[row][expected].mean(axis=1)
    return pd.DataFrame(means)


def _read_model(root: Path, task: Task, variant: str, seed: int, measure: str) -> Model:
    stage, steps = STAGE_OF[task], STEPS[task]
    training = Artefact(root, layout.training(stage, variant, seed), steps[0])
    content = training.json()
    curves = layout.curve(stage, variant, seed) / "plots/metrics"
    dev = Artefact(root, curves / f"dev/{measure}.tsv", steps[0])
    loss = Artefact(root, curves / "train/loss.tsv", steps[0])
    trains = training.number(content, "weights", "trained") > 0
    best_step = int(training.number(content, "best_step"))
    dev_curve, loss_curve = (dev.curve(), loss.curve()) if trains else (_no_curve(), _no_curve())
    if trains and best_step not in dev_curve:
        raise training.wrong(f"best_step: {best_step}: expected a step of {dev.path}")
    return Model(
        variant=variant,
        seed=seed,
        knobs=dict(training.get(content, "knobs")),
        weights=Weights(
            trained=int(training.number(content, "weights", "trained")),
            head=int(training.number(content, "weights", "head")),
            backbone=int(training.number(content, "weights", "backbone")),
        ),
        stored_bytes=int(training.number(content, "bytes")),
        best_step=best_step,
        dev=dev_curve,
        loss=loss_curve,
        resources={step: _read_resources(root, step, variant, seed) for step in steps},
        interpolation=_read_interpolation(root, variant, seed) if task == "reranking" else None,
    )


def _no_curve() -> pd.Series:
    return pd.Series(dtype=float)


def _read_interpolation(root: Path, variant: str, seed: int) -> Interpolation:
    artefact = Artefact(root, layout.interpolation(variant, seed), "rerank")
    content = artefact.json()
    dev = {float(weight): artefact.number(content, "dev", weight) for weight in artefact.get(content, "dev")}
    weight = artefact.number(content, "weight")
    if weight not in dev:
        raise artefact.wrong(f"weight: {weight}: expected one of those under 'dev'")
    return Interpolation(weight, dict(sorted(dev.items())))


def _read_resources(root: Path, step: str, variant: str | None = None, seed: int | None = None) -> Resources:
    artefact = Artefact(root, layout.resources(step, variant, seed), step)
    content = artefact.json()
    per_step = "seconds_per_step"
    return Resources(
        seconds=artefact.number(content, "seconds"),
        peak_memory_mb=artefact.number(content, "peak_memory_mb"),
        seconds_per_step=artefact.number(content, per_step) if content.get(per_step) is not None else None,
    )
