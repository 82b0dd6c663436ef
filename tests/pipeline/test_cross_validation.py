"""Cross-validation from training to the metrics: no model has seen what it is measured on.

A tiny collection, a tiny random backbone and the stages' own functions; what is compared is how the numbers
change, or do not, when the judgements of one fold's test queries do.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.splits import Folds
from peftir.data.writing import write_collection
from peftir.learning.analysis import analyse
from peftir.learning.objective import objectives
from peftir.pipeline.backbone import settle
from peftir.pipeline.evaluate import per_query, rankings
from peftir.pipeline.index import index_documents
from peftir.pipeline.rerank import rerank_candidates
from peftir.pipeline.retrieve import retrieve
from peftir.pipeline.train_reranker import train_reranker
from peftir.pipeline.train_retriever import train_retriever
from peftir.ranking.runs import Run, read_run, write_run
from peftir.report import write_report
from peftir.study import layout
from peftir.study.params import Params
from synthetic_study import make_params
from synthetic_study import write_study as write_made_up_study
from tiny_backbone import write_tiny_bert

WORDS = [f"w{number}" for number in range(24)]
DOCUMENTS = {f"d{number}": f"{word} {WORDS[number - 1]} common" for number, word in enumerate(WORDS)}
QUERIES = {f"q{number}": f"{WORDS[number]} common" for number in range(12)}
RELEVANT = {f"q{number}": f"d{number}" for number in range(12)}
FOLDS = ["13f1", "13f2"]


def bm25(shift: int = 0) -> Run:
    """Every query's own document, then those after it; ``shift`` starts elsewhere."""
    names = list(DOCUMENTS)
    return {
        query: [(names[(int(query[1:]) + shift + rank) % len(names)], float(-rank)) for rank in range(10)]
        for query in QUERIES
    }


def write_study(root: Path, relevant: dict[str, str], run: Run) -> None:
    content = Content(
        documents=[Document(name, "", text) for name, text in DOCUMENTS.items()],
        qrels={"test": [Judgement(query, document, 1) for query, document in relevant.items()]},
        queries=[Query(name, text) for name, text in QUERIES.items()],
        origin={"source": "test"},
    )
    write_collection(root / layout.COLLECTION, content, folds=Folds(2, 0.34))
    for split in ("train", "dev", "test"):
        write_run(root / layout.BM25_RUNS / f"{split}.trec", run, tag="bm25")


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    folder = tmp_path_factory.mktemp("params")
    write_tiny_bert(folder / "backbone", [*WORDS, "common"])
    rates = {"learning_rate": {"retriever": 0.05, "reranker": 0.05}}
    return make_params(
        folder,
        collection={"folds": 2},
        backbone={"name": str(folder / "backbone"), "precision": "float32"},
        methods={"lora": {"type": "lora", "rank": 2, **rates}},
        variants={"retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": FOLDS, "reranker": FOLDS},
        retriever={"steps": 4, "batch_size": 3, "evaluate_every": 2, "query_length": 8, "document_length": 8},
        reranker={"steps": 4, "batch_size": 3, "evaluate_every": 2, "length": 12, "head_learning_rate": 0.05},
        measures={"retrieval": ["RR@10"], "reranking": ["RR@10"]},
    )


@pytest.fixture(scope="module")
def root(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with both folds' models, runs and all."""
    root = tmp_path_factory.mktemp("study")
    write_study(root, RELEVANT, bm25())
    settle(root, params)
    for seed in FOLDS:
        run_stages(root, params, seed)
    return root


def run_stages(root: Path, params: Params, seed: str) -> None:
    """What the stages do for one seed."""
    train_retriever(root, params, "lora", seed, lambda point: None)
    index_documents(root, params, "lora", seed)
    retrieve(root, params, "lora", seed)
    train_reranker(root, params, "lora", seed, lambda point: None)
    rerank_candidates(root, params, "lora", seed)


def learned(root: Path, seed: str) -> dict[str, bytes]:
    """All that was learned for one fold: weights, the step and the weight that were chosen."""
    folders = [layout.model(stage, "lora", seed) for stage in ("retriever", "reranker")]
    files = [file for folder in folders for file in sorted((root / folder).glob("*.safetensors"))]
    files += [root / layout.training(stage, "lora", seed) for stage in ("retriever", "reranker")]
    files += [root / layout.interpolation("lora", seed)]
    assert len(files) >= 5
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def test_nothing_learned_follows_from_the_folds_own_test_queries(
    root: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = (set(Collection(root / layout.COLLECTION, fold).queries("test")) for fold in (1, 2))
    assert ours | theirs == set(QUERIES)
    assert not ours & theirs
    # Other judgements and other candidates for all that fold 1 is tested on, which fold 2 trains on.
    other = bm25(shift=7)
    relevant = {query: "d23" if query in ours else document for query, document in RELEVANT.items()}
    write_study(tmp_path, relevant, {query: (other if query in ours else bm25())[query] for query in QUERIES})
    monkeypatch.chdir(tmp_path)
    settle(Path(), params)
    for seed in FOLDS:
        run_stages(Path(), params, seed)
    assert learned(tmp_path, "13f1") == learned(root, "13f1")
    # Fold 2 does train on them: its gradients are others.
    before, after = learned(root, "13f2"), learned(tmp_path, "13f2")
    same = {name for name in before if before[name] == after[name]}
    assert not same & {str(layout.training(stage, "lora", "13f2")) for stage in ("retriever", "reranker")}


def test_a_models_runs_are_of_its_own_folds_queries(root: Path) -> None:
    for fold, seed in enumerate(FOLDS, start=1):
        collection = Collection(root / layout.COLLECTION, fold)
        for split in ("dev", "test"):
            names = [f"{split}.trec"]
            for task in ("retrieval", "reranking"):
                mixed = [f"{split}.interpolated.trec"] if task == "reranking" else []
                for name in names + mixed:
                    run = read_run(root / layout.runs(task, "lora", seed) / name)
                    assert set(run) == set(collection.queries(split))


def test_the_metrics_are_over_all_queries_each_ranked_by_its_own_folds_model(
    root: Path, params: Params
) -> None:
    table = per_query(root, params)
    assert set(table.seed) == {-1, 13}
    for task, row, name in [
        ("retrieval", "lora", "test.trec"),
        ("reranking", "lora", "test.trec"),
        ("reranking", "lora+bm25", "test.interpolated.trec"),
    ]:
        expected = {}
        for fold, seed in enumerate(FOLDS, start=1):
            run = read_run(root / layout.runs(task, "lora", seed) / name)
            for query in Collection(root / layout.COLLECTION, fold).queries("test"):
                ranking = [document for document, _ in run[query]][:10]
                rank = ranking.index(RELEVANT[query]) + 1 if RELEVANT[query] in ranking else None
                expected[query] = 1 / rank if rank else 0.0
        assert len(expected) == len(QUERIES)
        lines = table[(table.stage == task) & (table.row == row)]
        assert dict(zip(lines["query"], lines["value"], strict=True)) == pytest.approx(expected)


def test_a_run_that_ranks_for_other_folds_too_counts_for_its_own_alone(
    root: Path, params: Params, tmp_path: Path
) -> None:
    shutil.copytree(root, tmp_path / "study")
    wrong = {query: [("d23", 0.0)] for query in QUERIES}
    path = tmp_path / "study" / layout.runs("retrieval", "lora", "13f2") / "test.trec"
    write_run(path, wrong | read_run(path), tag="test")
    pd.testing.assert_frame_equal(per_query(tmp_path / "study", params), per_query(root, params))


def test_rows_join_the_folds_of_each_seed(tmp_path: Path) -> None:
    entries = ["13f1", "13f2", "14f2", "14f1"]
    params = make_params(
        tmp_path,
        collection={"folds": 2},
        variants={"retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": entries, "reranker": entries},
    )
    found = {(each.task, each.row.name, each.seed): each.runs for each in rankings(params)}
    assert [key for key in found if key[0] == "retrieval"] == [
        ("retrieval", "bm25", -1),
        ("retrieval", "lora", 13),
        ("retrieval", "lora", 14),
    ]
    assert found["reranking", "lora+bm25", 14] == {
        1: Path("runs/reranking/lora-14f1/test.interpolated.trec"),
        2: Path("runs/reranking/lora-14f2/test.interpolated.trec"),
    }


def test_the_loss_that_is_analysed_is_on_what_fold_1_trains_on(root: Path, params: Params) -> None:
    # Both models' losses are of one batch: with other weights another loss, with the same the same.
    for stage in ("retriever", "reranker"):
        first, again = (objectives(root, params, stage, 1)("lora", "13f1").loss().item() for _ in range(2))
        assert first == again
        assert objectives(root, params, stage, 1)("lora", "13f2").loss().item() != first


@pytest.mark.parametrize(
    ("entries", "told"),
    [(FOLDS, "seed 13 in 2 folds"), ([*FOLDS, "14f1", "14f2"], "seeds 13, 14 in 2 folds")],
)
def test_the_report_is_on_seeds_and_its_curves_are_of_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: list[str], told: str
) -> None:
    variants = ["full", "lora", "adapter", "iaa_l"]
    params = make_params(
        tmp_path,
        collection={"folds": 2},
        variants={"retriever": variants, "reranker": variants},
        seeds={"retriever": entries, "reranker": entries},
        learning={"seeds": 0},
    )
    random = np.random.default_rng(0)
    write_made_up_study(tmp_path, params, lambda *_: random.random(20).round(3))
    analyse(tmp_path, params)
    figures = json.loads((tmp_path / layout.LEARNING).read_text())["reranker"]["lora"]
    assert len(figures["best_dev"]) == len(figures["sharpness"]) == len(entries)
    write_report(tmp_path, params)
    text = (tmp_path / "report/results.md").read_text()
    page = (tmp_path / "report/index.html").read_text()
    assert told in text
    assert "Thin lines are single folds, thick ones their mean." in page
    assert "failed folds" in page
    assert [f"weight, seed {entry}" in page for entry in entries] == [True] * len(entries)
    assert ("\u00b1" in text) == (len(entries) > 2)  # one seed has no deviation, however many folds
