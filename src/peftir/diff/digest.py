"""What git keeps of an evaluation: a summary to look at, and every query's measures to compare revisions by.

The measures of all queries are in ``metrics/per_query.parquet`` too, but that lies in DVC's cache, which a
clone may not have. ``metrics/queries.parquet`` holds the same, rounded, in a form small enough for git: a
line a query, a column a run, and in each cell all measures of that query and run as one text,
``0.5 0.6309 1``. Most measures follow from the rank of the one relevant document, so the same few texts come
again and again, and parquet stores each once. At 7,000 queries, 10 variants and 4 measures a stage that makes
0.2 MB a seed; a column a measure would take 0.5 MB, and the table in the cache takes 0.9 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from peftir.study import layout
from peftir.study.params import Params
from peftir.study.tasks import TASKS
from peftir.system.errors import PeftirError
from peftir.system.files import replacing, unusable, write_json

SUMMARY_DECIMALS = 3
QUERY_DECIMALS = 4
EVALUATE = "make it again with `dvc repro --force --single-item evaluate`"


@dataclass(frozen=True)
class Scores:
    """Every query's measures of every run."""

    queries: list[str]
    """Sorted."""
    measures: dict[str, list[str]]
    """By task, ``retrieval`` or ``reranking``; the first is the one that the summary has."""
    runs: dict[tuple[str, str, int], NDArray[np.float64]]
    """By task, row and seed; shape ``[queries, measures of the task]``."""


def write_digest(root: Path, params: Params) -> Iterator[Path]:
    """Write the summary and the queries' measures from ``root``'s per-query table; give their paths."""
    table = pd.read_parquet(root / layout.PER_QUERY)
    write_json(root / layout.SUMMARY, summary(table, params))
    yield layout.SUMMARY
    with replacing(root / layout.QUERIES) as partial:
        packed(table).to_parquet(partial, index=False, compression="zstd")
    yield layout.QUERIES


def summary(table: pd.DataFrame, params: Params) -> dict[str, dict[str, dict[str, float]]]:
    """The mean of each task's first measure by task, measure and variant; beside them BM25's at retrieval.

    The interpolated rows are left out, so that the columns of ``dvc exp show`` stay few.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task in (task.name for task in TASKS):
        measure = params.measures.at(task)[0]
        rows = ["bm25"] * (task == "retrieval") + params.variants.at(task)
        means = table[(table.stage == task) & (table.measure == measure)].groupby("row")["value"].mean()
        found[task] = {measure: {row: round(float(means[row]), SUMMARY_DECIMALS) for row in rows}}
    return found


def packed(table: pd.DataFrame) -> pd.DataFrame:
    """The per-query table as ``metrics/queries.parquet`` has it; ``attrs`` names each task's measures."""
    columns: dict[str, pd.Series] = {}
    measures: dict[str, list[str]] = {}
    for (task, row, seed), lines in table.groupby(["stage", "row", "seed"], sort=False):
        by_query = lines.pivot(index="query", columns="measure", values="value").sort_index()
        names = measures.setdefault(task, list(dict.fromkeys(lines["measure"])))
        numbers = by_query[names].round(QUERY_DECIMALS).to_numpy().tolist()
        texts = [" ".join(f"{number:.10g}" for number in line) for line in numbers]
        columns[f"{task} {row} {seed}"] = pd.Series(texts, index=by_query.index)
    frame = pd.DataFrame(columns).rename_axis("query").reset_index()
    frame.attrs = {"measures": measures}
    return frame


def read_scores(file: Path | BinaryIO, name: str) -> Scores:
    """Read ``metrics/queries.parquet``; errors speak of it as ``name``.

    Raises:
        PeftirError: it is not such a file.
    """
    try:
        frame = pd.read_parquet(file)
        measures: dict[str, list[str]] = frame.attrs["measures"]
        runs = {_run_of(column): _values(frame[column]) for column in frame.columns if column != "query"}
        for (task, _, _), values in runs.items():
            if values.shape != (len(frame), len(measures[task])):
                raise ValueError(f"{values.shape[1]} values a cell")
        return Scores([str(query) for query in frame["query"]], measures, runs)
    except OSError as error:  # of pyarrow's, too
        raise unusable(Path(name), error, EVALUATE) from error
    except (ValueError, KeyError, AttributeError) as error:
        raise PeftirError(f"{name}: not a table of queries and measures ({error}); {EVALUATE}") from error


def _run_of(column: str) -> tuple[str, str, int]:
    task, row, seed = column.split(" ")
    return task, row, int(seed)


def _values(cells: Any) -> NDArray[np.float64]:
    """The numbers in a column of texts, shape ``[queries, measures]``."""
    codes, texts = pd.factorize(cells)
    return np.array([[float(number) for number in text.split(" ")] for text in texts])[codes]
