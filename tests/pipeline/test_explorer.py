"""The query explorer: numbers of the metrics, order of the runs, features worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.pipeline import explorer
from peftir.pipeline.evaluate import write_metrics
from peftir.ranking.runs import write_run
from peftir.study import layout
from peftir.study.params import Params
from synthetic_study import make_params, write_study

DOCUMENTS = {"d1": "sort a list of numbers", "d2": "open a file", "d3": "close the file", "d4": "word " * 100}
QUERIES = {"q1": "Sort the numbers!", "q2": "open file", "q3": "nothing judged"}
RANKINGS = {  # by row and seed; q2's relevant documents are d3 (grade 2) and d2
    ("bm25", None): {"q1": ["d2", "d1", "d4"], "q2": ["d2"], "q3": ["d1"]},
    ("lora", 13): {"q1": ["d1", "d2"], "q2": ["d4", "d1", "d3"], "q3": ["d1"]},
    ("lora", 14): {"q1": ["d2", "d1"], "q2": ["d3"], "q3": ["d1"]},
}


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Params]:
    params = make_params(
        tmp_path,
        variants={"retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13, 14], "reranker": [13]},
        measures={"retrieval": ["RR@10"], "reranking": ["RR@10"]},
    )
    write_study(tmp_path, params, lambda *_: [0.5])  # for what trainings write
    content = Content(
        documents=[Document(name, "", text) for name, text in DOCUMENTS.items()],
        qrels={"test": [Judgement("q1", "d1", 1), Judgement("q2", "d2", 1), Judgement("q2", "d3", 2)]},
        queries=[Query(name, text) for name, text in QUERIES.items()],
        origin={"source": "test"},
    )
    write_collection(tmp_path / layout.COLLECTION, content)
    for (row, seed), rankings in RANKINGS.items():
        run = {query: [(d, 9.0 - i) for i, d in enumerate(found)] for query, found in rankings.items()}
        folders = (
            [layout.BM25_RUNS]
            if row == "bm25"
            else [layout.runs(task, row, seed) for task in ("retrieval", "reranking")]
        )
        for folder in folders:
            for name in ("test.trec", "test.interpolated.trec"):
                write_run(tmp_path / folder / name, run, tag="test")
    list(write_metrics(tmp_path, params))
    return tmp_path, params


def written(root: Path, params: Params) -> dict[str, Any]:
    [path] = explorer.write_explorer(root, params)
    return json.loads((root / path).read_text(encoding="utf-8"))


def test_a_query_has_its_measures_rankings_and_the_ranks_of_its_relevant_documents(
    study: tuple[Path, Params],
) -> None:
    data = written(*study)
    assert [task["rows"] for task in data["tasks"]] == [["bm25", "lora"], ["bm25", "lora", "lora+bm25"]]
    ids = [id for id, _ in data["documents"]]
    first, second = data["queries"]
    assert (first["id"], first["text"], second["id"]) == ("q1", "Sort the numbers!", "q2")
    assert [(ids[number], grade) for number, grade in second["relevant"]] == [("d3", 2), ("d2", 1)]
    retrieval = first["tasks"][0]
    assert retrieval["values"] == [0.5, 0.75]  # lora: 1 with seed 13 and 1/2 with seed 14
    assert [[ids[number] for number in top] for top in retrieval["top"]] == [["d2", "d1", "d4"], ["d1", "d2"]]
    assert retrieval["ranks"] == [[2], [1]]
    assert second["tasks"][0]["ranks"] == [[None, 1], [3, None]]
    assert (first["words"], first["shared"]) == (3, 2)  # sort and numbers; "the" is not in d1
    assert (second["words"], second["shared"]) == (2, 1)  # of d3: file
    assert len(dict(data["documents"])["d4"]) <= explorer.CHARACTERS + 2


def test_its_means_are_those_of_the_metrics(study: tuple[Path, Params]) -> None:
    root, params = study
    data = written(root, params)
    for place, task in enumerate(data["tasks"]):
        means = json.loads((root / layout.metrics(task["name"])).read_text())
        found = pd.DataFrame([query["tasks"][place]["values"] for query in data["queries"]]).mean()
        # Both the values and the means have four decimals.
        for row, mean in zip(task["rows"], found, strict=True):
            assert mean == pytest.approx(means[row][task["measure"]], abs=1e-4)


def test_of_too_many_queries_those_that_differ_most_are_kept(
    study: tuple[Path, Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explorer, "MOST_QUERIES", 1)
    data = written(*study)
    # q1 differs by .25 and .5 at the two tasks; q2 by 1 - (1/3 + 1) / 2 and by 2/3.
    assert [query["id"] for query in data["queries"]] == ["q2"]
    assert data["left_out"] == 1
