"""Test measures of every run of the study: per query, their means, and what sets these apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from peftir import layout
from peftir.collections.base import Collection
from peftir.comparisons import DECIMALS, comparisons, spread
from peftir.errors import PeftirError
from peftir.files import replacing, write_json
from peftir.measures import evaluate
from peftir.params import Params
from peftir.runs import read_run


@dataclass(frozen=True)
class Row:
    """A row of a results table: a run for each seed; BM25 has no seed and counts as -1."""

    task: str
    name: str
    seed: int
    run: Path


def rows(params: Params) -> list[Row]:
    """All rows that ``params`` asks for; leftovers of other variants on disk do not count."""
    found = []
    for task, stage in (("retrieval", "retriever"), ("reranking", "reranker")):
        found.append(Row(task, "bm25", -1, layout.BM25_RUNS / "test.trec"))
        for variant in getattr(params.variants, stage):
            for seed in getattr(params.seeds, stage):
                folder = layout.runs(task, variant, seed)
                found.append(Row(task, variant, seed, folder / "test.trec"))
                if task == "reranking":
                    found.append(Row(task, f"{variant}+bm25", seed, folder / "test.interpolated.trec"))
    return found


def per_query(root: Path, params: Params) -> pd.DataFrame:
    """One line a task, row, seed, query and measure.

    Judged queries that a run lacks count 0; queries without a judgement are left out.
    """
    qrels = Collection(root / layout.COLLECTION).qrels("test")
    tables = []
    for row in rows(params):
        names = getattr(params.measures, row.task)
        values = evaluate(read_run(root / row.run), qrels, names)
        tables.append(values.assign(stage=row.task, row=row.name, seed=row.seed))
    return pd.concat(tables, ignore_index=True)[["stage", "row", "seed", "query", "measure", "value"]]


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
