"""Test measures of every run of the study: per query, their means, and what sets these apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from peftir.data.collection import Collection
from peftir.ranking.measures import evaluate
from peftir.ranking.runs import Run, read_run
from peftir.statistics.comparisons import comparisons, spread
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import draw, numbers
from peftir.system.errors import PeftirError
from peftir.system.files import replacing, write_json

DECIMALS = 4  # of means that people read as they are, with `dvc metrics show`


@dataclass(frozen=True)
class Row:
    """A row of a results table: a ranking for each seed; BM25 has no seed and counts as -1."""

    task: str
    name: str
    seed: int
    runs: dict[int | None, Path]
    """By the fold whose test queries the run ranks for; ``None`` where there are no folds."""


def rows(params: Params) -> list[Row]:
    """All rows that ``params`` asks for; leftovers of other variants on disk do not count."""
    found = []
    for task, stage in (("retrieval", "retriever"), ("reranking", "reranker")):
        found.append(Row(task, "bm25", -1, {None: layout.BM25_RUNS / "test.trec"}))
        for variant in getattr(params.variants, stage):
            entries = getattr(params.seeds, stage)
            for seed in numbers(entries):
                folders = {
                    draw(entry).fold: layout.runs(task, variant, entry)
                    for entry in entries
                    if draw(entry).number == seed
                }
                found.append(Row(task, variant, seed, _within(folders, "test.trec")))
                if task == "reranking":
                    mixed = _within(folders, "test.interpolated.trec")
                    found.append(Row(task, f"{variant}+bm25", seed, mixed))
    return found


def _within(folders: dict[int | None, Path], name: str) -> dict[int | None, Path]:
    return {fold: folder / name for fold, folder in folders.items()}


def per_query(root: Path, params: Params) -> pd.DataFrame:
    """One line a task, row, seed, query and measure.

    Judged queries that a run lacks count 0; queries without a judgement are left out. Where there are folds,
    each query counts with the run of its own fold, whose model has not seen it.
    """
    qrels = Collection(root / layout.COLLECTION).qrels("test")
    tables = []
    for row in rows(params):
        names = getattr(params.measures, row.task)
        values = evaluate(_joined(root, row), qrels, names)
        tables.append(values.assign(stage=row.task, row=row.name, seed=row.seed))
    return pd.concat(tables, ignore_index=True)[["stage", "row", "seed", "query", "measure", "value"]]


def _joined(root: Path, row: Row) -> Run:
    """The row's runs as one, each with its own fold's test queries."""
    joined: Run = {}
    for fold, path in row.runs.items():
        asked = Collection(root / layout.COLLECTION, fold).queries("test") if fold else None
        joined |= read_run(root / path, asked)
    return joined


def means(table: pd.DataFrame, task: str) -> dict[str, dict[str, float]]:
    """Mean of each measure over queries and seeds, by row."""
    if table[table.stage == task].empty:
        raise PeftirError(f"metrics: no {task} run was evaluated")
    mean = table[table.stage == task].groupby(["row", "measure"], sort=False)["value"].mean().round(DECIMALS)
    return {
        row: {measure: float(value) for measure, value in values.droplevel("row").items()}
        for row, values in mean.groupby(level="row", sort=False)
    }


def write_metrics(root: Path, params: Params) -> Iterator[Path]:
    """Evaluate all runs; write the per-query table and what follows from it, and give their paths."""
    table = per_query(root, params)
    with replacing(root / layout.PER_QUERY) as partial:
        table.to_parquet(partial, index=False)
    yield layout.PER_QUERY
    for task in ("retrieval", "reranking"):
        write_json(root / layout.metrics(task), means(table, task))
        yield layout.metrics(task)
    yield from write_statistics(root, table)


def write_statistics(root: Path, table: pd.DataFrame) -> Iterator[Path]:
    """Write how sure the means and differences of the per-query ``table`` are, and give the files' paths."""
    for path, found in ((layout.SPREAD, spread(table)), (layout.COMPARISONS, comparisons(table))):
        with replacing(root / path) as partial:
            found.to_csv(partial, sep="\t", index=False, na_rep="nan", lineterminator="\n")
        yield path
