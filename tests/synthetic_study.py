"""A study's artefacts with made-up numbers, as the stages would write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from peftir.pipeline.evaluate import families, variants, write_statistics
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.rows import rows_of
from peftir.study.seeds import Seed, draw, numbers
from peftir.study.tasks import UNTRAINED

BACKBONE = 20_000_000
TRAINED = {"zero_shot": 0, "full": BACKBONE, "lora": 100_000, "adapter": 98_000, "iaa_l": 102_000}
TASKS = {"retriever": "retrieval", "reranker": "reranking"}
STEPS = {"retriever": ("train_retriever", "index", "retrieve"), "reranker": ("train_reranker", "rerank")}
Values = Callable[[str, str, int, str], Iterable[float]]
"""The value of every test query, by task, row, seed and measure."""


def make_params(folder: Path, **changes: Any) -> Params:
    """The repository's ``params.yaml`` with top-level blocks updated, and lists replaced, by ``changes``."""
    content = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
    content["variants"]["untrained"] = []
    for block, change in changes.items():
        content[block] = content[block] | change if isinstance(change, dict) else change
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_params(path)


def write_study(root: Path, params: Params, values: Values) -> None:
    """Write all artefacts that the report reads."""
    test = len(list(values("retrieval", "bm25", -1, params.measures.retrieval[0])))
    splits = {split: {"queries": n} for split, n in {"train": 2275, "dev": 350, "test": test}.items()}
    _write_json(root / layout.COLLECTION / "manifest.json", {"documents": 3500, "splits": splits})
    for step in ("prepare", "bm25"):
        _write_json(root / layout.resources(step), {"seconds": 12.5, "peak_memory_mb": 700})
    tables = []
    for stage, task in TASKS.items():
        trained, seeds = params.variants.trained(stage), params.seeds.at(stage)
        once = params.variants.once(task)
        rows = [(row, -1) for row in ("bm25", *once)]
        rows += [(f"{variant}+bm25", -1) for variant in once if task == "reranking"]
        rows += [(variant, seed) for variant in trained for seed in numbers(seeds)]
        if task == "reranking":
            rows += [(f"{variant}+bm25", seed) for variant in trained for seed in numbers(seeds)]
        measures = params.measures.at(task)
        table = pd.concat([_per_query(task, row, seed, m, values) for row, seed in rows for m in measures])
        means = table.groupby(["row", "measure"])["value"].mean().round(4)
        _write_json(root / layout.metrics(task), {r: {m: means[r, m] for m in measures} for r in dict(rows)})
        tables.append(table)
        for variant in trained:
            for seed in seeds:
                write_model(root, params, stage, variant, seed)
        for variant in once:
            write_untrained(root, stage, variant)
    table = pd.concat(tables, ignore_index=True)
    table.to_parquet(root / layout.PER_QUERY, index=False)
    described = variants(root, params)
    _write_json(root / layout.VARIANTS, described)
    list(write_statistics(root, params, table, families(described, params)))
    _write_json(root / layout.EXPLORER, made_up_explorer(params, test))


def made_up_explorer(params: Params, queries: int) -> dict[str, Any]:
    """One document, which every row ranks first for every query."""
    tasks = []
    for task in TASKS.values():
        rows = [row.name for row in rows_of(task, params.variants.at(task))]
        tasks.append({"name": task, "title": task, "measure": params.measures.at(task)[0], "rows": rows})
    lists = [
        {"values": [1.0] * len(t["rows"]), "top": [[0]] * len(t["rows"]), "ranks": [[1]] * len(t["rows"])}
        for t in tasks
    ]
    made = [
        {"id": f"q{i}", "text": f"query {i}", "words": 2, "shared": 1, "relevant": [[0, 1]], "tasks": lists}
        for i in range(queries)
    ]
    return {"tasks": tasks, "queries": made, "documents": [["d", "a document"]], "depth": 5, "left_out": 0}


def write_model(
    root: Path, params: Params, stage: str, variant: str, seed: Seed, name: str | None = None
) -> None:
    """Write what training ``variant`` and using it left behind, under another ``name`` if one is given."""
    trained = TRAINED[variant]
    settings = params.training(stage)
    place = list(TRAINED).index(variant)
    variant = name or variant
    steps = list(range(0, settings.steps + 1, settings.evaluate_every))
    luck = draw(seed).number / 5000
    dev = [round(0.6 + 0.1 * (1 - 0.5 ** (i / 2)) + place / 200 + luck, 4) for i in range(len(steps))]
    # Less gradient the further from the output, and the less the longer training goes on.
    gradients = {
        f"encoder.layer.{layer}.adapter": {
            "layer": layer,
            "norms": [round((layer + 1) * 0.9**i / (1 + place), 4) for i in range(1, len(steps))],
        }
        for layer in range(4)
    }
    training = {
        "type": list(TRAINED)[place],
        "gradients": gradients,
        "knobs": {"rank": 6} if trained < BACKBONE else {},
        "weights": {"trained": trained, "head": 385 * (stage == "reranker"), "backbone": BACKBONE},
        "bytes": 4 * trained,
        "steps": steps[-1],
        "best_step": steps[-1],
        "best_dev": dev[-1],
    }
    _write_json(root / layout.training(stage, variant, seed), training)
    curves = root / layout.curve(stage, variant, seed) / "plots/metrics"
    measure = settings.selected_by
    _write_curve(curves / f"dev/{measure}.tsv", measure, zip(steps, dev, strict=True))
    loss = [(step, round((2 + place / 10) * 0.8**i, 4)) for i, step in enumerate(steps[1:])]
    _write_curve(curves / "train/loss.tsv", "loss", loss)
    for step in STEPS[stage]:
        spent: dict[str, Any] = {"seconds": 100.04, "peak_memory_mb": 1500}
        if step.startswith("train"):
            at = {str(s): 0.75 * s for s in steps}
            spent |= {"seconds_per_step": 0.75, "seconds_at": at}
        _write_json(root / layout.resources(step, variant, seed), spent)
    if stage == "reranker":
        tried = {
            str(i / 20): round(0.45 + 0.1 * (i / 20) * (1.4 - i / 20) + place / 200, 4) for i in range(21)
        }
        _write_json(root / layout.interpolation(variant, seed), {"weight": 0.7, "dev": tried})


def write_untrained(root: Path, stage: Any, variant: str) -> None:
    """Write what the stage ``untrained``, or ``untrained_reranker``, left behind."""
    weights = {"trained": 0, "head": 0, "backbone": BACKBONE}
    _write_json(root / layout.training(stage, variant, None), {"type": variant, "weights": weights})
    spent: dict[str, Any] = {"seconds": 210, "peak_memory_mb": 1500}
    spent |= {f"{step}_seconds": 100.04 for step in STEPS[stage][1:]}
    _write_json(root / layout.resources(UNTRAINED[stage], variant), spent)
    if stage == "reranker":
        _write_json(root / layout.interpolation(variant, None), {"weight": 0.5, "dev": {"0.5": 0.4}})


def _per_query(task: str, row: str, seed: int, measure: str, values: Values) -> pd.DataFrame:
    column = list(values(task, row, seed, measure))
    queries = [f"q{i}" for i in range(len(column))]
    same = {"stage": task, "row": row, "seed": seed, "measure": measure}
    return pd.DataFrame({"query": queries, "value": column}).assign(**same)


def _write_curve(path: Path, name: str, points: Iterable[tuple[int, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"step\t{name}", *(f"{step}\t{value}" for step, value in points)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
