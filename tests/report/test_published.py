"""BM25's published measures: those of the installed Pyserini, and when a report shows them."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from peftir.report import published
from peftir.report.reading import read_study
from peftir.report.study import Study
from peftir.statistics.comparisons import Spread
from synthetic_study import make_params, write_study


def conditions(file: str) -> dict[str, Any]:
    """The conditions that Pyserini reproduces, by name; its own package is not imported."""
    found = importlib.util.find_spec("pyserini")
    assert found and found.origin
    text = (Path(found.origin).parent / "2cr" / file).read_text(encoding="utf-8")
    return {condition["name"]: condition for condition in yaml.safe_load(text)["conditions"]}


def test_the_figures_are_those_that_pyserini_reproduces() -> None:
    beir = {each["dataset"]: each["scores"][0] for each in conditions("beir.yaml")["bm25-flat"]["datasets"]}
    for name, (queries, *_) in published.BEIR.items():
        assert published.published(f"beir:../{name}", queries) == beir[name]
    marco = conditions("msmarco-v1-passage.yaml")["bm25-default"]
    assert "--k1 0.9 --b 0.4" in marco["command"]
    topics = {topic["topic_key"]: topic["scores"][0] for topic in marco["topics"]}
    first, *tracks = published.MARCO.values()
    dev = topics["msmarco-v1-passage.dev"]
    assert first[1] == {"RR@10": dev["MRR@10"], "R@1000": dev["R@1K"]}
    for (_, values), topic in zip(tracks, ("dl19-passage", "dl20-passage"), strict=True):
        assert values == {"nDCG@10": topics[topic]["nDCG@10"]}


@pytest.mark.parametrize(
    ("source", "queries", "known"),
    [
        ("beir:/home/ada/nfcorpus", 323, True),
        ("beir:../nfcorpus/", 323, True),
        ("beir:../nfcorpus", 3237, False),  # all of its queries, in a cross-validation
        ("beir:../mycorpus", 323, False),
        ("trec:../nfcorpus", 323, False),
        ("ir_datasets:beir/nfcorpus", 323, True),
        ("ir_datasets:beir/nfcorpus/test", 323, True),
        ("ir_datasets:nfcorpus", 323, False),
        ("ir_datasets:msmarco-passage", 6980, True),
        ("ir_datasets:msmarco-passage/trec-dl-2019/judged", 43, True),
        ("ir_datasets:msmarco-passage/trec-dl-2019/judged", 42, False),
        ("pydocs", 323, False),
    ],
)
def test_they_are_those_of_that_collection_alone(source: str, queries: int, known: bool) -> None:
    assert bool(published.published(source, queries)) is known


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    params = make_params(
        folder,
        collection={"source": "beir:../scifact", "documents": None},
        variants={"untrained": [], "retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13], "reranker": [13]},
        measures={"retrieval": ["nDCG@10", "R@100", "RR@10"], "reranking": ["RR@10"]},
    )
    write_study(folder, params, lambda task, row, seed, measure: [0.1 * (i % 7) for i in range(8)])
    return read_study(folder, params)


def with_bm25(study: Study, **means: float) -> Study:
    """``study`` with other means of BM25, over the 300 test queries of SciFact."""
    found = study.retrieval.spread["bm25"]
    changed: dict[str, Spread] = {
        name: replace(each, queries=300, mean=means.get(name, each.mean)) for name, each in found.items()
    }
    retrieval = replace(study.retrieval, spread=study.retrieval.spread | {"bm25": changed})
    return replace(study, retrieval=retrieval)


def test_a_report_has_both_figures_and_a_warning_where_they_differ_by_more_than_002(study: Study) -> None:
    near = with_bm25(study, **{"nDCG@10": 0.6789 + 0.0019, "R@100": 0.9253})
    assert list(published.notes(near)) == [
        "Anserini’s published BM25 on the test queries: nDCG@10 0.6789 (here 0.6808), R@100 0.9253 "
        "(here 0.9253)."
    ]
    _, warning = published.notes(with_bm25(study, **{"nDCG@10": 0.6789 - 0.0021, "R@100": 0.9253}))
    assert warning.startswith("Warning: BM25’s nDCG@10 on the test queries differs from the published value")


def test_there_is_none_for_other_queries_or_other_values_of_k1_and_b(study: Study) -> None:
    assert list(published.notes(study)) == []
    bm25 = study.params.bm25.model_copy(update={"b": 0.75})
    other = replace(study, params=study.params.model_copy(update={"bm25": bm25}))
    assert list(published.notes(with_bm25(other))) == []
