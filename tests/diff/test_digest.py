"""What git keeps of an evaluation: the summary, and every query's measures in little space."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from peftir.diff.digest import by_query, read_scores, write_digest
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from synthetic_study import make_params, write_study

# By task, row and seed: the first measure of queries q0, q1 and q2.
FIRST = {
    ("retrieval", "bm25", -1): [1, 0.5, 0],
    ("retrieval", "lora", 13): [1, 1 / 3, 0],
    ("retrieval", "lora", 14): [0, 1, 0.5],
    ("reranking", "bm25", -1): [1, 0.5, 0],
    ("reranking", "lora", 13): [0.25, 0, 0],
    ("reranking", "lora+bm25", 13): [1, 1, 1],
}


def values(task: str, row: str, seed: int, measure: str) -> Iterator[float]:
    """The second measure of a task is half its first."""
    yield from (value / (2 if "nDCG" in measure else 1) for value in FIRST[task, row, seed])


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return make_params(
        tmp_path,
        variants={"retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13, 14], "reranker": [13]},
        measures={"retrieval": ["RR@10", "nDCG@10"], "reranking": ["RR@10"]},
    )


@pytest.fixture
def root(tmp_path: Path, params: Params) -> Path:
    write_study(tmp_path, params, values)
    return tmp_path


def test_the_summary_has_a_variants_mean_of_the_first_measure(root: Path, params: Params) -> None:
    assert list(write_digest(root, params)) == [layout.SUMMARY, layout.QUERIES]
    assert json.loads((root / layout.SUMMARY).read_text()) == {
        "retrieval": {"RR@10": {"bm25": 0.5, "lora": round((4 / 9 + 1 / 2) / 2, 3)}},
        "reranking": {"RR@10": {"lora": round(0.25 / 3, 3)}},
    }


def test_every_querys_measures_come_back(root: Path, params: Params) -> None:
    list(write_digest(root, params))
    scores = read_scores(root / layout.QUERIES, "queries")
    assert scores.queries == ["q0", "q1", "q2"]
    assert scores.measures == {"retrieval": ["RR@10", "nDCG@10"], "reranking": ["RR@10"]}
    assert set(scores.runs) == set(FIRST)
    for (task, row, seed), found in scores.runs.items():
        first = np.array(FIRST[task, row, seed])
        expected = np.column_stack([first, first / 2][: len(scores.measures[task])])
        assert found == pytest.approx(expected, abs=5e-5)  # kept with four decimals


def test_the_same_study_gives_the_same_bytes(root: Path, params: Params) -> None:
    list(write_digest(root, params))
    before = (root / layout.QUERIES).read_bytes()
    table = pd.read_parquet(root / layout.PER_QUERY)
    backwards = table.iloc[::-1].sort_values(["stage", "row", "seed", "measure"], kind="stable")
    backwards.sort_index().to_parquet(root / layout.PER_QUERY, index=False)
    list(write_digest(root, params))
    assert (root / layout.QUERIES).read_bytes() == before


def test_it_is_small_at_7000_queries_and_10_variants() -> None:
    """As the module says: 0.7 MB a seed, with ranks that agree between variants as those of one study do."""
    draw = np.random.default_rng(0)
    names = np.array([f"{number}" for number in range(1_000_000, 1_007_000)])
    hardness = draw.normal(size=len(names))
    rows = {"retrieval": ["bm25", *(f"v{i}" for i in range(10))]}
    rows["reranking"] = [*rows["retrieval"], *(f"v{i}+bm25" for i in range(10))]
    tables = []
    runs = [(task, row) for task, listed in rows.items() for row in listed]
    for task, row in runs:
        rank = 1 + np.exp(2 * hardness + 1.5 + draw.normal(size=len(names))).astype(int)
        for measure, cutoff in product(("RR", "nDCG"), (10, 100)):
            gain = 1 / rank if measure == "RR" else 1 / np.log2(rank + 1)
            line = {"query": names, "value": gain * (rank <= cutoff), "measure": f"{measure}@{cutoff}"}
            tables.append(pd.DataFrame(line).assign(stage=task, row=row, seed=13))
    file = io.BytesIO()
    by_query(pd.concat(tables, ignore_index=True)).to_parquet(file, index=False, compression="zstd")
    assert len(file.getvalue()) < 700_000


def older_table(cells: list[str]) -> bytes:
    """``metrics/queries.parquet`` as it was when a cell held all measures of a run."""
    columns = {"query": ["q0", "q1"], "retrieval lora 13": cells, "reranking bm25 -1": ["0.25", "1"]}
    frame = pd.DataFrame(columns)
    frame.attrs = {"measures": {"retrieval": ["RR@10", "nDCG@10"], "reranking": ["RR@10"]}}
    return frame.to_parquet(index=False)


def test_the_table_of_an_older_revision_can_be_read() -> None:
    scores = read_scores(io.BytesIO(older_table(["0.5 0.6309", "1 1"])), "queries")
    assert scores.queries == ["q0", "q1"]
    assert scores.measures == {"retrieval": ["RR@10", "nDCG@10"], "reranking": ["RR@10"]}
    assert scores.runs["retrieval", "lora", 13].tolist() == [[0.5, 0.6309], [1, 1]]
    assert scores.runs["reranking", "bm25", -1].tolist() == [[0.25], [1]]


@pytest.mark.parametrize("cells", [["0.5", "1"], ["0.5 1", "1"], ["0.5 1 1", "1 1 1"], ["0.5 x", "1 1"]])
def test_a_damaged_table_of_an_older_revision_is_named(cells: list[str]) -> None:
    with pytest.raises(PeftirError, match=r"^old: not a table of queries and measures \(.*make it again"):
        read_scores(io.BytesIO(older_table(cells)), "old")


@pytest.mark.parametrize("damage", ["cut short", "another table", "a number too few"])
def test_a_damaged_file_is_named(root: Path, params: Params, damage: str) -> None:
    list(write_digest(root, params))
    path = root / layout.QUERIES
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "another table":
        pd.DataFrame({"query": ["q0"]}).to_parquet(path)
    else:
        frame = pd.read_parquet(path)
        frame = frame.drop(columns=frame.columns[-1:])
        frame["retrieval lora 13"] = "0.5"
        frame.to_parquet(path, index=False)
    with pytest.raises(
        PeftirError, match=r"^HEAD:queries: not a table of queries and measures \(.*make it again"
    ):
        read_scores(path, "HEAD:queries")
