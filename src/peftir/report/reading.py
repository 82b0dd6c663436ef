"""Reading the study from the artefacts of its stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from peftir.report.chains import read_chains
from peftir.report.learned import read_learned
from peftir.report.measured import read_comparisons, read_spread, read_test_set
from peftir.report.rivals import kind
from peftir.report.study import Interpolation, ModelRecord, ParameterCounts, Resources, StageStudy, Study
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.seeds import Seed, numbers
from peftir.study.tasks import BY_NAME, UNTRAINED, TaskName

if TYPE_CHECKING:
    from peftir.study.params import Params


def read_study(root: Path, params: Params) -> Study:
    """Read the artefacts of the variants and seeds that ``params`` names from the folder ``root``.

    Raises:
        PeftirError: an artefact is missing or not as expected.
    """
    manifest = Artefact(root, layout.COLLECTION / "manifest.json", "prepare")
    content = manifest.json()
    splits = manifest.get(content, "splits")
    stages = [_read_stage(root, params, task) for task in BY_NAME]
    return Study(
        params=params,
        documents=int(manifest.number(content, "documents")),
        queries={split: int(manifest.number(content, "splits", split, "queries")) for split in splits},
        retrieval=stages[0],
        reranking=stages[1],
        folds=content.get("folds", []),
        dev_held_out=content.get("dev_held_out", False),
        resources={stage: _read_resources(root, stage) for stage in ("prepare", "bm25")},
        tests=[read_test_set(root, params, name) for name in params.tests],
        chains=list(read_chains(root, params)),
    )


def _read_stage(root: Path, params: Params, task: TaskName) -> StageStudy:
    stage = BY_NAME[task].stage
    variants, untrained = params.variants.at(task), params.variants.once(task)
    seeds, measures = params.seeds.at(stage), params.measures.at(task)
    settings = params.training(stage)
    rows = params.rows(task)
    names = [row.name for row in rows]
    models = {
        name: [_read_untrained(root, task, name)]
        if name in untrained
        else [_read_model(root, task, name, seed, settings.selected_by) for seed in seeds]
        for name in variants
    }
    trained = [name for name in variants if name not in untrained]
    return StageStudy(
        task=task,
        settings=settings,
        variants=variants,
        trainings=seeds,
        seeds=numbers(seeds),
        measures=measures,
        rows=rows,
        reference=next((name for name in variants if params.methods[name].type == "full"), None),
        kinds={name: kind(params.methods[name].type) for name in variants},
        spread=read_spread(Artefact(root, layout.SPREAD, "evaluate"), task, names, measures),
        comparisons=read_comparisons(Artefact(root, layout.COMPARISONS, "evaluate"), task, names, measures),
        models=models,
        learned=read_learned(root, stage, trained, seeds),
    )


def _read_model(root: Path, task: TaskName, variant: str, seed: Seed, measure: str) -> ModelRecord:
    stage, steps = BY_NAME[task].stage, BY_NAME[task].dvc_stages
    training = Artefact(root, layout.training(stage, variant, seed), steps[0])
    content = training.json()
    curves = layout.curve(stage, variant, seed) / "plots/metrics"
    dev = Artefact(root, curves / f"dev/{measure}.tsv", steps[0])
    loss = Artefact(root, curves / "train/loss.tsv", steps[0])
    best_step, dev_curve = int(training.number(content, "best_step")), dev.curve()
    if best_step not in dev_curve:
        raise training.wrong(f"best_step: {best_step}: expected a step of {dev.path}")
    return ModelRecord(
        variant=variant,
        seed=seed,
        knobs=dict(training.get(content, "knobs")),
        weights=_weights(training, content),
        stored_bytes=int(training.number(content, "bytes")),
        best_step=best_step,
        dev=dev_curve,
        loss=loss.curve(),
        resources={step: _read_resources(root, step, variant, seed) for step in steps},
        interpolation=_read_interpolation(root, variant, seed) if task == "reranking" else None,
        start_from="start_from" in content,
        scores_untrained=content.get("scores_untrained", False),
    )


def _read_untrained(root: Path, task: TaskName, variant: str) -> ModelRecord:
    """The record of the untrained backbone: a model without a seed, for which one stage does all."""
    stage = UNTRAINED[BY_NAME[task].stage]
    training = Artefact(root, layout.training(BY_NAME[task].stage, variant, None), stage)
    spent = Artefact(root, layout.resources(stage, variant), stage)
    seconds = spent.json()
    return ModelRecord(
        variant=variant,
        seed=None,
        knobs={},
        weights=_weights(training, training.json()),
        stored_bytes=0,
        best_step=0,
        dev=_no_curve(),
        loss=_no_curve(),
        resources={
            step: Resources(
                spent.number(seconds, f"{step}_seconds"), spent.number(seconds, "peak_memory_mb"), None
            )
            for step in BY_NAME[task].dvc_stages[1:]
        },
        interpolation=_read_interpolation(root, variant, None) if task == "reranking" else None,
    )


def _weights(training: Artefact, content: Any) -> ParameterCounts:
    return ParameterCounts(
        trained=int(training.number(content, "weights", "trained")),
        head=int(training.number(content, "weights", "head")),
        backbone=int(training.number(content, "weights", "backbone")),
    )


def _no_curve() -> pd.Series:
    return pd.Series(dtype=float)


def _read_interpolation(root: Path, variant: str, seed: Seed | None) -> Interpolation:
    artefact = Artefact(root, layout.interpolation(variant, seed), "rerank")
    content = artefact.json()
    dev = {float(weight): artefact.number(content, "dev", weight) for weight in artefact.get(content, "dev")}
    weight = artefact.number(content, "weight")
    if weight not in dev:
        raise artefact.wrong(f"weight: {weight}: expected one of those under 'dev'")
    return Interpolation(weight, dict(sorted(dev.items())))


def _read_resources(root: Path, step: str, variant: str | None = None, seed: Seed | None = None) -> Resources:
    artefact = Artefact(root, layout.resources(step, variant, seed), step)
    content = artefact.json()

    def known(name: str) -> float | None:
        return artefact.number(content, name) if content.get(name) is not None else None

    return Resources(
        seconds=artefact.number(content, "seconds"),
        peak_memory_mb=artefact.number(content, "peak_memory_mb"),
        seconds_per_step=known("seconds_per_step"),
        memory_mb=content.get("memory_mb", {}),
        tokens_per_second=known("tokens_per_second"),
        mfu=known("mfu"),
    )
