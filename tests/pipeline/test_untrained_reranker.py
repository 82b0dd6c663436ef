"""A re-ranker that can score before it is trained: its runs, and where it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import BertConfig, BertForSequenceClassification

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.pipeline.backbone import settle
from peftir.pipeline.evaluate import rankings
from peftir.pipeline.train_reranker import train_reranker
from peftir.pipeline.untrained_reranker import rerank_untrained
from peftir.ranking.runs import read_run, write_run
from peftir.serve.chains import ModelName
from peftir.serve.shared_backbone import SharedBackbone
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.system.files import remove
from peftir.training.distributed import launch
from peftir.training.state import Point
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text"]
DEPTHS = {"negatives": 2, "dev_depth": 5}
QUERIES = {"train": ["sort list", "open file"], "dev": ["line path"], "test": ["text number", "open"]}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """A study whose backbone is a trained cross-encoder, up to BM25's runs."""
    root = tmp_path_factory.mktemp("study")
    folder = write_tiny_bert(root / "backbone", WORDS)
    torch.manual_seed(4)
    config = BertConfig.from_pretrained(folder, num_labels=1)
    model = BertForSequenceClassification.from_pretrained(folder, config=config)
    with torch.no_grad():
        model.classifier.weight.normal_()
    model.save_pretrained(folder)
    texts = [f"{first} {last}" for first in WORDS for last in WORDS[:2]]
    queries = [Query(f"{split}{i}", text) for split, of in QUERIES.items() for i, text in enumerate(of)]
    qrels = {
        split: [Judgement(f"{split}{i}", f"d{i}", 1) for i in range(len(of))] for split, of in QUERIES.items()
    }
    documents = [Document(f"d{i}", "", text) for i, text in enumerate(texts)]
    write_collection(root / layout.COLLECTION, Content(documents, qrels, queries, {"source": "a test"}))
    for split, of in QUERIES.items():
        ranking = [(f"d{i}", float(20 - i)) for i in range(8)]
        run = {f"{split}{i}": ranking for i in range(len(of))}
        write_run(root / layout.BM25_RUNS / f"{split}.trec", run, tag="bm25")
    params = make_params(
        root,
        backbone={"name": "backbone"},
        methods={
            "lora": {"type": "lora", "rank": 2, "learning_rate": {"retriever": 0.001, "reranker": 0.001}}
        },
        reranker={"length": 24, "steps": 1, "batch_size": 2, "evaluate_every": 1} | DEPTHS,
        variants={"untrained": [], "untrained_reranker": ["zero_shot"], "reranker": ["lora"]},
        reranking={"depth": 5},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        settle(Path(), params)
        rerank_untrained(Path(), params, "zero_shot")
    return root, params


@pytest.fixture(autouse=True)
def _in_the_study(study: tuple[Path, Params], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study[0])


def test_its_run_ranks_by_the_trained_heads_scores(study: tuple[Path, Params]) -> None:
    _, params = study
    [path] = [
        path
        for ranking in rankings(params)
        if (ranking.task, ranking.row.name) == ("reranking", "zero_shot")
        for path in ranking.runs.values()
    ]
    assert path == Path("runs/reranking/zero_shot/test.trec")
    model = CrossEncoder("backbone", activation_fn=torch.nn.Identity(), max_length=24)
    texts = [f"{first} {last}" for first in WORDS for last in WORDS[:2]]
    for query, ranking in read_run(path).items():
        text = QUERIES["test"][int(query.removeprefix("test"))]
        values = model.predict([(text, document) for document in texts[:5]])
        scores = {f"d{i}": value for i, value in enumerate(values)}
        assert [doc for doc, _ in ranking[:5]] == sorted(scores, key=scores.__getitem__, reverse=True)
        assert [doc for doc, _ in ranking[5:]] == ["d5", "d6", "d7"]  # BM25's order below
    assert set(json.loads(layout.interpolation("zero_shot", None).read_text())) == {"weight", "dev"}


def test_two_processes_write_what_one_writes(study: tuple[Path, Params]) -> None:
    _, params = study
    folder = layout.runs("reranking", "zero_shot", None)
    alone = {file.name: file.read_bytes() for file in folder.iterdir()}
    remove(folder)
    launch(rerank_untrained, (Path(), params, "zero_shot"), 2, "reranking.processes")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == alone


def test_training_starts_from_its_scores(study: tuple[Path, Params]) -> None:
    _, params = study
    points: list[Point] = []
    train_reranker(Path(), params, "lora", 13, points.append)
    ranking = read_run(layout.runs("reranking", "zero_shot", None) / "dev.trec")["dev0"]
    place = [doc for doc, _ in ranking].index("d0") + 1
    assert points[0].step == 0
    assert points[0].dev == pytest.approx(1 / place)
    assert json.loads(layout.training("reranker", "lora", 13).read_text())["scores_untrained"] is True


def test_it_is_served(study: tuple[Path, Params]) -> None:
    root, params = study
    served = SharedBackbone(root, params).model(ModelName("reranker", "zero_shot", None))
    alone = CrossEncoder("backbone", activation_fn=torch.nn.Identity(), max_length=24)
    pair = [("open", "file sort")]
    assert served.predict(pair) == pytest.approx(alone.predict(pair), rel=1e-4)


def test_a_backbone_without_a_head_is_a_line(study: tuple[Path, Params], tmp_path: Path) -> None:
    _, params = study
    write_tiny_bert(tmp_path / "bare", WORDS)
    bare = params.model_copy(
        update={"backbone": params.backbone.model_copy(update={"name": str(tmp_path / "bare")})}
    )
    settle(tmp_path, bare)
    with pytest.raises(PeftirError, match=r"variants\.untrained_reranker: 'zero_shot': expected a backbone"):
        rerank_untrained(tmp_path, bare, "zero_shot")


def test_params_that_cannot_be_are_a_line(tmp_path: Path) -> None:
    for variants, message in (
        (
            {"untrained_reranker": ["lora"]},
            r"untrained_reranker: 'lora': expected a method of type zero_shot",
        ),
        (
            {"reranker": ["zero_shot"]},
            r"can score already goes under variants\.untrained_reranker",
        ),
    ):
        with pytest.raises(PeftirError, match=message):
            make_params(tmp_path, variants=variants)
    folds = {"retriever": ["13f1", "13f2"], "reranker": ["13f1", "13f2"]}
    with pytest.raises(PeftirError, match=r"untrained_reranker: \['zero_shot'\]: expected none, since"):
        make_params(
            tmp_path,
            variants={"untrained_reranker": ["zero_shot"]},
            collection={"folds": 2},
            seeds=folds,
        )
