"""A collection whose queries are documents of its own, as ArguAna's: no stage ranks a query for itself."""

from __future__ import annotations

import math
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from sentence_transformers import SentenceTransformer

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.learning.objective import objectives
from peftir.models import saving
from peftir.models.biencoder import new_biencoder
from peftir.pipeline.index import index_documents
from peftir.pipeline.retrieve import retrieve
from peftir.ranking.runs import read_run, write_run
from peftir.study import layout
from peftir.study.params import load_params
from structure import ROOT
from tiny_backbone import write_tiny_bert

TEXTS = {"a": "lift of a wing", "b": "lift of a tail", "c": "drag of a wing", "d": "lift and drag"}
SPLIT = {"train": "a", "dev": "b", "test": "c"}
RELEVANT = {"a": "b", "b": "a", "c": "a"}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's folder with an untrained retriever; four documents, three of which are asked for."""
    monkeypatch.chdir(tmp_path)
    backbone = write_tiny_bert(tmp_path / "backbone", " ".join(TEXTS.values()).split())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["backbone"]["name"] = str(backbone)
    params["bm25"] |= {"depth": 3, "train_depth": 3}
    params["retrieval"]["depth"] = 3
    for stage in ("retriever", "reranker"):
        params[stage]["negatives_depth"] = 3
    params["reranker"]["dev_depth"] = params["reranking"]["depth"] = 3
    params["measures"] = {"retrieval": ["RR@3"], "reranking": ["RR@3"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    model = new_biencoder(str(backbone), pooling="mean", query_length=8, document_length=8)
    saving.attach(model, "zero_shot", load_params().methods["zero_shot"])
    saving.save(model, layout.model("retriever", "zero_shot", None), str(backbone))
    return tmp_path


def prepare(own_documents: bool) -> None:
    content = Content(
        [Document(id, "", text) for id, text in TEXTS.items()],
        {split: [Judgement(query, RELEVANT[query], 1)] for split, query in SPLIT.items()},
        [Query(query, TEXTS[query]) for query in SPLIT.values()],
        {"source": "test"},
    )
    write_collection(layout.COLLECTION, content, own_documents)


@pytest.mark.parametrize("own_documents", [True, False])
def test_bm25_and_retrieval_leave_a_query_s_own_document_out(
    study: Path, own_documents: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(own_documents)
    monkeypatch.syspath_prepend(ROOT / "stages")
    monkeypatch.setattr(sys, "argv", ["bm25.py"])
    runpy.run_path(str(ROOT / "stages" / "bm25.py"), run_name="__main__")
    index_documents(Path(), load_params(), "zero_shot", None)
    retrieve(Path(), load_params(), "zero_shot", None)
    for split, query in SPLIT.items():
        bm25 = [document for document, _ in read_run(layout.BM25_RUNS / f"{split}.trec")[query]]
        assert (bm25[0] == query) is not own_documents
        assert (query in bm25) is not own_documents
        if split != "train":
            run = layout.runs("retrieval", "zero_shot", None) / f"{split}.trec"
            dense = [document for document, _ in read_run(run)[query]]
            assert len(dense) == 3  # as deep as was asked for, all the same
            assert (dense[0] == query) is not own_documents
            assert (query in dense) is not own_documents


def test_the_analysed_loss_leaves_a_query_s_own_document_out_as_training_does(study: Path) -> None:
    """Two queries, each relevant to the other: in one batch, each meets itself as the other's document."""
    relevant = {"train": [Judgement("a", "b", 1), Judgement("b", "a", 1)]}
    documents = [Document(id, "", text) for id, text in TEXTS.items()]
    queries = [Query(id, TEXTS[id]) for id in ("a", "b")]
    write_collection(layout.COLLECTION, Content(documents, relevant, queries, {"source": "test"}), True)
    write_run(layout.BM25_RUNS / "train.trec", {"a": [("c", 1.0)], "b": [("c", 1.0)]}, tag="bm25")
    content = yaml.safe_load((study / "params.yaml").read_text())
    content["learning"]["queries"]["retriever"] = 2
    (study / "params.yaml").write_text(yaml.safe_dump(content))
    params = load_params()
    shutil.copytree(layout.model("retriever", "zero_shot", None), layout.model("retriever", "zero_shot", 13))
    found = objectives(Path(), params, "retriever", None)("zero_shot", 13).loss().item()

    model = saving.load(SentenceTransformer, layout.model("retriever", "zero_shot", 13))
    vectors = dict(zip(TEXTS, model.encode([*TEXTS.values()]).astype(float), strict=True))

    def similarity(query: str, document: str) -> float:
        return math.exp(vectors[query] @ vectors[document] / params.retriever.temperature)

    losses = []
    for query, positive in (("a", "b"), ("b", "a")):
        right, wrong = similarity(query, positive), similarity(query, "c")
        losses.append(-math.log(right / (right + 2 * wrong)))  # c is the hard negative of both
    # Float32 computes the similarities to some 1e-6, and the temperature of 0.05 makes that 2e-5 in the loss.
    assert found == pytest.approx(sum(losses) / 2, rel=0, abs=1e-4)
