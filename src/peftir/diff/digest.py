"""Evaluation results in git: a summary, and the measures per query for the comparison of revisions.

``metrics/per_query.parquet`` has the measures of all queries, but is in DVC's cache, which a clone may lack.
``metrics/queries.parquet`` has the same values, rounded, in a file small enough for git: one row per query
and one column per run and measure. Most measures depend only on the rank of one relevant document, so parquet
stores few distinct values. With 7,000 queries, 10 variants and 4 measures per stage the file has 0.7 MB per
seed.
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
    """The measures per query of every run."""

    queries: list[str]
    """Sorted."""
    measures: dict[str, list[str]]
    """Measures by task, ``retrieval`` or ``reranking``; the summary contains the first one."""
    runs: dict[tuple[str, str, int], NDArray[np.float64]]
    """Values by task, row and seed, ``[queries, measures of the task]``."""


def write_digest(root: Path, params: Params) -> Iterator[Path]:
    """Write the summary and the measures per query from the per-query table; yield their paths."""
    table = pd.read_parquet(root / layout.PER_QUERY)
    write_json(root / layout.SUMMARY, summary(table, params))
    yield layout.SUMMARY
    yield write_queries(root, table)


def write_queries(root: Path, table: pd.DataFrame, test: str | None = None) -> Path:
    """Write the measures per query, of the test set ``test`` if given; return the file's path."""
    path = layout.of(test, layout.QUERIES)
    with replacing(root / path) as partial:
        by_query(table).to_parquet(partial, index=False, compression="zstd")
    return path


def summary(table: pd.DataFrame, params: Params) -> dict[str, dict[str, dict[str, float]]]:
    """The mean of each task's first measure, by task, measure and variant, and for retrieval also
    of BM25 and other lexical rankings.

    Interpolated rows are left out to limit the columns of ``dvc exp show``.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task in (task.name for task in TASKS):
        measure = params.measures.at(task)[0]
        rows = [
            row.name
            for row in params.rows(task)
            if not row.interpolated and (row.variant or task == "retrieval")
        ]
        means = table[(table.stage == task) & (table.measure == measure)].groupby("row")["value"].mean()
        found[task] = {measure: {row: round(float(means[row]), SUMMARY_DECIMALS) for row in rows}}
    return found


def by_query(table: pd.DataFrame) -> pd.DataFrame:
    """The per-query table in the format of ``metrics/queries.parquet``."""
    wide = table.pivot(index="query", columns=["stage", "row", "seed", "measure"], values="value")
    names = table[["stage", "row", "seed", "measure"]].drop_duplicates()
    wide = wide[list(names.itertuples(index=False, name=None))].sort_index().round(QUERY_DECIMALS)
    wide.columns = [" ".join(map(str, column)) for column in wide.columns]
    return wide.reset_index()


def read_scores(file: Path | BinaryIO, name: str) -> Scores:
    """Read ``metrics/queries.parquet``, also in the format of older revisions; ``name`` is for messages.

    Raises:
        PeftirError: the file is damaged or has another format.
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
    except OSError as error:  # including pyarrow's
        raise unusable(Path(name), error, EVALUATE) from error
    except (ValueError, KeyError, AttributeError) as error:
        raise PeftirError(f"{name}: not a table of queries and measures ({error}); {EVALUATE}") from error


def _from_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert the format of older revisions: one column per run, with values as text, ``0.5 0.6309``."""
    columns = {"query": frame["query"].to_numpy()}
    for run in frame.columns.drop("query"):
        measures = frame.attrs["measures"][run.split(" ")[0]]
        values = np.array([text.split(" ") for text in frame[run]], dtype=np.float64)
        for measure, column in zip(measures, values.T, strict=True):
            columns[f"{run} {measure}"] = column
    return pd.DataFrame(columns)
