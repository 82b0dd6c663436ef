"""A folder with test judgements alone, through the whole pipeline in two folds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sentence_transformers import SentenceTransformer
from small_study import SMALL, Study, clone, environment

import peftir.tuners  # noqa: F401  makes the methods known to PEFT
from peftir.models.saving import load
from tiny_backbone import write_tiny_bert

pytestmark = pytest.mark.pipeline

WORDS = [f"w{number}" for number in range(30)]
DOCUMENTS = {
    f"d{number}": f"{word} {WORDS[number - 1]} {WORDS[number - 7]} all" for number, word in enumerate(WORDS)
}
QUERIES = {f"q{number}": f"{WORDS[2 * number]} {WORDS[2 * number - 5]}" for number in range(10)}
RELEVANT = {f"q{number}": f"d{2 * number}" for number in range(10)}
RATES = {"learning_rate": {"retriever": 0.05, "reranker": 0.05}}
MODELS = ("lora-13f1", "lora-13f2")


def write_source(folder: Path) -> None:
    """BEIR's layout, with a test split and no other."""

    def jsonl(texts: dict[str, str]) -> str:
        return "".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in texts.items())

    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(jsonl(DOCUMENTS))
    (folder / "queries.jsonl").write_text(jsonl(QUERIES))
    rows = "".join(f"{query}\t{document}\t1\n" for query, document in RELEVANT.items())
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The study, run."""
    folder = tmp_path_factory.mktemp("folds")
    write_source(folder / "source")
    write_tiny_bert(folder / "backbone", [*WORDS, "all"])
    root = clone(folder / "study")
    study = Study(root, environment(root, models=folder / "models") | {"OMP_NUM_THREADS": "1"})
    study.set_params(SMALL)
    study.set_params(
        {
            "collection": {"source": f"beir:{folder / 'source'}", "documents": None, "folds": 2},
            "backbone": {"name": str(folder / "backbone"), "precision": "float32", "dropout": True},
            "methods": {"lora": {"type": "lora", "rank": 2, **RATES}},
            "variants": {"retriever": ["lora"], "reranker": ["lora"]},
            "seeds": {"retriever": ["13f1", "13f2"], "reranker": ["13f1", "13f2"]},
            "learning": {"seeds": 0},
        }
    )
    study.repro()
    yield study
    shutil.rmtree(folder)


def folds(study: Study) -> list[dict[str, str]]:
    """The split of every query, by fold."""
    files = [study.root / f"data/collection/folds/{fold}.tsv" for fold in (1, 2)]
    return [dict(line.split("\t") for line in file.read_text().splitlines()[1:]) for file in files]


def held_out(split_of: dict[str, str]) -> set[str]:
    return {query for query, split in split_of.items() if split == "test"}


def rankings(path: Path) -> dict[str, list[str]]:
    """The documents of each query in the order of a run file's lines."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        query, _, document, *_ = line.split()
        found.setdefault(query, []).append(document)
    return found


def mean_reciprocal_rank(ranked: dict[str, list[str]]) -> float:
    ranks = [
        ranked[query][:10].index(document) + 1 if document in ranked.get(query, [])[:10] else None
        for query, document in RELEVANT.items()
    ]
    return sum(1 / rank for rank in ranks if rank) / len(RELEVANT)


def test_every_query_is_tested_in_one_fold_and_trained_on_in_the_others(folded: Study) -> None:
    one, two = folds(folded)
    assert set(one) == set(two) == set(QUERIES)
    assert {len(held_out(one)), len(held_out(two))} == {5}
    assert not held_out(one) & held_out(two)


@pytest.mark.parametrize(
    ("task", "row", "name"),
    [
        ("retrieval", "lora", "test.trec"),
        ("reranking", "lora", "test.trec"),
        ("reranking", "lora+bm25", "test.interpolated.trec"),
    ],
)
def test_the_metrics_are_those_of_both_folds_runs_together(
    folded: Study, task: str, row: str, name: str
) -> None:
    joined: dict[str, list[str]] = {}
    for model, split_of in zip(MODELS, folds(folded), strict=True):
        ranked = rankings(folded.root / "runs" / task / model / name)
        assert set(ranked) == held_out(split_of)
        joined |= ranked
    assert set(joined) == set(QUERIES)
    metrics: dict[str, Any] = json.loads((folded.root / f"metrics/{task}.json").read_text())
    assert metrics[row]["RR@10"] == pytest.approx(mean_reciprocal_rank(joined), abs=5e-5)
    everything = rankings(folded.root / "runs/bm25/test.trec")
    assert metrics["bm25"]["RR@10"] == pytest.approx(mean_reciprocal_rank(everything), abs=5e-5)


def test_each_query_is_ranked_by_the_model_of_its_own_fold(folded: Study) -> None:
    scored = []
    for model in MODELS:
        encoder = load(SentenceTransformer, folded.root / "models/retriever" / model)
        documents = encoder.encode_document(list(DOCUMENTS.values()))
        scores = encoder.encode_query(list(QUERIES.values())) @ documents.T
        scored.append(
            {
                query: dict(zip(DOCUMENTS, row, strict=True))
                for query, row in zip(QUERIES, scores, strict=True)
            }
        )
    for model, split_of, own, other in zip(MODELS, folds(folded), scored, scored[::-1], strict=True):
        ranked = rankings(folded.root / "runs/retrieval" / model / "test.trec")
        assert set(ranked) == held_out(split_of)
        fits = [
            all(
                falls([scores[query][document] for document in documents])
                for query, documents in ranked.items()
            )
            for scores in (own, other)
        ]
        assert fits == [True, False]


def falls(scores: list[float]) -> bool:
    """Do they fall all the way, but for what a batch's rounding changes?

    Float32 has 6e-8, which the weights of this backbone enlarge some ten times in each of the two layers.
    """
    return bool(np.all(np.diff(scores) < 1e-5))


def test_what_follows_from_the_metrics_knows_seeds_and_no_folds(folded: Study) -> None:
    table = pd.read_parquet(folded.root / "metrics/per_query.parquet")
    assert sorted(set(table["seed"])) == [-1, 13]
    lines = table[(table["row"] == "lora") & (table["measure"] == "RR@10")]
    assert {stage: sorted(of["query"]) for stage, of in lines.groupby("stage")} == {
        "retrieval": sorted(QUERIES),
        "reranking": sorted(QUERIES),
    }
    columns = pd.read_parquet(folded.root / "metrics/queries.parquet").columns
    runs = {column.rpartition(" ")[0] for column in columns}
    assert {"retrieval lora 13", "reranking lora 13", "reranking lora+bm25 13"} < runs
    learning = json.loads((folded.root / "metrics/learning.json").read_text())
    assert len(learning["retriever"]["lora"]["best_dev"]) == 2
    report = (folded.root / "report/results.md").read_text()
    assert "seed 13 in 2 folds" in report
    assert "10 test queries" in report
    assert "Thin lines are single folds" in (folded.root / "report/index.html").read_text()


def test_an_exported_model_says_of_which_fold_it_is(folded: Study, tmp_path: Path) -> None:
    done = folded.run("peftir", "export", "lora", "--seed", "13f2", "--to", str(tmp_path / "lora"))
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "lora" / "README.md").read_text()
    assert "seed 13, on the queries outside of fold 2" in card
    assert "Means over 10 test queries, each ranked by the model of its own fold of 2." in card.replace(
        ";", ","
    )
    assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == "sentence-similarity"
