"""A collection whose queries are documents of its own, as ArguAna's: no stage ranks a query for itself."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import yaml

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.models import saving
from peftir.models.biencoder import new_biencoder
from peftir.pipeline.index import index_documents
from peftir.pipeline.retrieve import retrieve
from peftir.ranking.runs import read_run
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
    index_documents(load_params(), "zero_shot", None)
    retrieve(load_params(), "zero_shot", None)
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
