"""What git keeps of an evaluation: a summary to look at, and every query's measures to compare revisions by.

The measures of all queries are in ``metrics/per_query.parquet`` too, but that lies in DVC's cache, which a
clone may not have. ``metrics/queries.parquet`` holds the same, rounded, in a form small enough for git: a
row a query and a column of numbers for each run and measure. Most measures follow from the rank of the one
relevant document, so the same few values come again and again, and parquet stores each once. At 7,000
queries, 10 variants and 4 measures a stage that makes 0.7 MB a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

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
        by_query(table).to_parquet(partial, index=False, compression="zstd")
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


def by_query(table: pd.DataFrame) -> pd.DataFrame:
    """The per-query table as ``metrics/queries.parquet`` has it."""
    wide = table.pivot(index="query", columns=["stage", "row", "seed", "measure"], values="value")
    names = table[["stage", "row", "seed", "measure"]].drop_duplicates()
    wide = wide[list(names.itertuples(index=False, name=None))].sort_index().round(QUERY_DECIMALS)
    wide.columns = [" ".join(map(str, column)) for column in wide.columns]
    return wide.reset_index()


def read_scores(file: Path | BinaryIO, name: str) -> Scores:
    """Read ``metrics/queries.parquet``, also in the form that older revisions have; errors call it ``name``.

    Raises:
        PeftirError: it is not such a file.
    """
    try:
        frame = pd.read_parquet(file)
        if "measures" in frame.attrs:
            frame = _from_texts(frame)
        measures: dict[str, list[str]] = {}
        columns: dict[tuple[str, str, int], dict[str, NDArray[np.float64]]] = {}
        for column in frame.columns.drop("query"):
            task, row, seed, measure = column.split(" ", 3)
            values = columns.setdefault((task, row, int(seed)), {})
            values[measure] = frame[column].to_numpy(dtype=np.float64)
            if measure not in measures.setdefault(task, []):
                measures[task].append(measure)
        if not measures:
            raise ValueError("no column of a measure")
        runs = {
            run: np.column_stack([values[measure] for measure in measures[run[0]]])
            for run, values in columns.items()
        }
        return Scores([str(query) for query in frame["query"]], measures, runs)
    except OSError as error:  # of pyarrow's, too
        raise unusable(Path(name), error, EVALUATE) from error
    except (ValueError, KeyError, AttributeError) as error:
        raise PeftirError(f"{name}: not a table of queries and measures ({error}); {EVALUATE}") from error


def _from_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """The table of an older revision: a column a run, all measures of a query in one text, ``0.5 0.6309``."""
    columns = {"query": frame["query"].to_numpy()}
    for run in frame.columns.drop("query"):
        measures = frame.attrs["measures"][run.split(" ")[0]]
        values = np.array([text.split(" ") for text in frame[run]], dtype=np.float64)
        for measure, column in zip(measures, values.T, strict=True):
            columns[f"{run} {measure}"] = column
    return pd.DataFrame(columns)
