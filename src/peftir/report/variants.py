"""The tables of each variant's settings and costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import mean

import numpy as np

from peftir.report.cells import NONE, Cell, Group, Table, TableRow, count, decimals, text, weights_trained
from peftir.report.study import ModelRecord, Resources, StageStudy, Study
from peftir.study.tasks import BY_NAME

NOUNS = {"index": "indexing", "retrieve": "retrieval", "rerank": "re\u2011ranking"}
NBSP = "\u00a0"
TASKS = 100
"""The number of tasks that share a backbone."""
BYTES = 4  # of a weight of the backbone, in float32


def methods(study: Study) -> Table:
    """The method, the resolved settings and the learning rates of each variant."""
    columns = ["method", "settings", "learning rate, retriever", "learning rate, re-ranker"]

    def cells(name: str) -> list[Cell]:
        method = study.params.methods[name]
        model = (study.retrieval.models.get(name) or study.reranking.models[name])[0]
        rates = method.learning_rate
        knobs = [f"{knob} {value}" for knob, value in model.knobs.items()]
        return [
            text(method.type),
            text(", ".join(knobs)) if knobs else NONE,
            _rate(rates.retriever) if rates else NONE,
            _rate(rates.reranker) if rates else NONE,
        ]

    return Table(
        columns, [Group(None, [TableRow(name, name, cells(name)) for name in study.variants])], words=2
    )


def costs(study: StageStudy) -> Table:
    """The costs of each variant: weights, bytes, seconds (means over seeds) and peak memory (maximum)."""
    training, *using = BY_NAME[study.task].dvc_stages
    head = study.task == "reranking"
    columns = ["weights trained", "share", *(["head"] if head else []), f"stored,{NBSP}MB"]
    columns += [f"MB{NBSP}per task of{NBSP}{TASKS}"]
    columns += [f"training,{NBSP}s", f"s{NBSP}per{NBSP}step", f"training, peak{NBSP}MiB"]
    columns += [
        column for step in using for column in (f"{NOUNS[step]},{NBSP}s", f"{NOUNS[step]}, peak{NBSP}MiB")
    ]

    def cells(name: str) -> list[Cell]:
        models, weights = study.models[name], study.weights(name)
        training_cells = [NONE] * 3
        if name in study.trained:
            training_cells = [
                _seconds(models, training),
                _per_step(models, training),
                _peak(models, training),
            ]
        return [
            *weights_trained(weights),
            *([count(weights.head)] if head else []),
            decimals(mean(model.stored_bytes for model in models) / 1e6, 2),
            _per_task(study, name),
            *training_cells,
            *(cell for step in using for cell in (_seconds(models, step), _peak(models, step))),
        ]

    return Table(columns, [Group(None, [TableRow(name, name, cells(name)) for name in study.variants])])


def steps(study: StageStudy) -> Table | None:
    """The memory of each variant's training steps by what it holds, their tokens per second, and MFU.

    ``None`` if no training has recorded these.
    """
    parts = ["weights", "gradients", "optimizer", "best_step", "activations"]
    columns = [f"{part.replace('_', ' ')},{NBSP}MiB" for part in parts]
    columns += [f"tokens{NBSP}per{NBSP}s", "MFU"]
    spent = {name: study.training(name) for name in study.trained}
    if not any(each.memory_mb for trainings in spent.values() for each in trainings):
        return None

    def cells(trainings: list[Resources]) -> list[Cell]:
        known = [[each.memory_mb.get(part) for each in trainings] for part in parts]
        rates = [each.tokens_per_second for each in trainings]
        shares = [None if each.mfu is None else 100 * each.mfu for each in trainings]
        return [
            *(_if_known(values, max, "{:,.1f}") for values in known),
            _if_known(rates, mean, "{:,.0f}"),
            _if_known(shares, mean, "{:.1f} %"),
        ]

    rows = [TableRow(name, name, cells(trainings)) for name, trainings in spent.items()]
    return Table(columns, [Group(None, rows)])


def _if_known(values: list[float | None], over: Callable[[list[float]], float], form: str) -> Cell:
    """One value of all trainings; none if it is unknown for one."""
    known = [value for value in values if value is not None]
    return Cell(form.format(over(known)), over(known)) if len(known) == len(values) else NONE


def _per_task(study: StageStudy, name: str) -> Cell:
    """MB per task where ``TASKS`` tasks share a backbone, each with its own model of the variant."""
    own = mean(model.stored_bytes for model in study.models[name])
    shared = 0 if study.kinds[name] == "full" else BYTES * study.weights(name).backbone
    return decimals((own + shared / TASKS) / 1e6, 2)


def interpolation_weights(study: StageStudy) -> Table:
    """The weight of the re-ranker selected on dev, one column per model, with the number of ties."""

    def cells(name: str) -> list[Cell]:
        records = [model.interpolation for model in study.models[name] if model.interpolation]
        return [
            replace(decimals(record.weight, 2), text=f"{record.weight:.2f}{_ties(record.ties)}")
            for record in records
        ]

    columns = [f"weight, seed {seed}" for seed in study.trainings]
    return Table(columns, [Group(None, [TableRow(name, name, cells(name)) for name in study.variants])])


def _ties(count: int) -> str:
    return f" (of {count})" if count > 1 else ""


def _rate(rate: float) -> Cell:
    return Cell(np.format_float_scientific(rate, trim="-", exp_digits=1), rate)


def _seconds(models: list[ModelRecord], step: str) -> Cell:
    return decimals(mean(model.resources[step].seconds for model in models), 1)


def _per_step(models: list[ModelRecord], step: str) -> Cell:
    known = [s for model in models if (s := model.resources[step].seconds_per_step) is not None]
    return decimals(mean(known), 2) if known else NONE


def _peak(models: list[ModelRecord], step: str) -> Cell:
    return count(max(model.resources[step].peak_memory_mb for model in models))
