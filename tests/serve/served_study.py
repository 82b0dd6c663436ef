"""A tiny study whose artefacts are those of the real stages, with models that differ from each other."""

from __future__ import annotations

import random
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.models import saving
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.pipeline.backbone import settle
from peftir.pipeline.bm25_test import rank_test_by_words
from peftir.pipeline.evaluate import per_query, write_per_query
from peftir.pipeline.index import index_documents
from peftir.pipeline.rerank import rerank_candidates
from peftir.pipeline.retrieve import retrieve
from peftir.pipeline.retrieve_test import retrieve_test
from peftir.pipeline.untrained import rank_untrained
from peftir.study import layout
from peftir.study.params import Params, load_params
from structure import ROOT
from tiny_backbone import write_tiny_bert

WORDS = [f"{first}{last}" for first in ("ba", "do", "ki", "lu", "me", "no") for last in "bdfgklmnprstvz"]
DOCUMENTS = 80
QUERIES = {"train": 4, "dev": 4, "test": 12}
HOSTILE = "<script>alert('kib')</script> &amp; \"quoted\" +kib -luk kib AND (luk OR meb~) \x1b[31m"
RETRIEVERS = ("full", "lora", "iaa_l", "bitfit")
RERANKERS = ("full", "lora", "iaa_l")
SEEDS = (13, 14)
TEST_SET = "others"
SIZES = {"lora": {"rank": 3}, "iaa_l": {"rank": 2, "aside_rank": 3}}


def write_served_study(root: Path) -> None:
    """Write collection, models, indexes and runs of a study into ``root``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        params = _write_params(root)
        content = _content()
        write_collection(layout.COLLECTION, content, own_documents=True)
        write_collection(layout.of(TEST_SET, layout.COLLECTION), _test_set(content), corpus=False)
        settle(root, params)
        patch.syspath_prepend(ROOT / "stages")
        patch.setattr(sys, "argv", ["bm25.py"])
        runpy.run_path(str(ROOT / "stages" / "bm25.py"), run_name="__main__")
        rank_test_by_words(root, params, TEST_SET)
        rank_untrained(root, params, "zero_shot")
        for variant in RETRIEVERS:
            for seed in SEEDS:
                _write_model(params, "retriever", variant, seed)
                index_documents(root, params, variant, seed)
                retrieve(root, params, variant, seed)
        retrieve_test(root, params, TEST_SET, "lora", SEEDS[0])
        for variant in RERANKERS:
            _write_model(params, "reranker", variant, 13)
            rerank_candidates(root, params, variant, 13)
        write_per_query(root, per_query(root, params))


def _write_params(root: Path) -> Params:
    backbone = write_tiny_bert(root / "backbone", WORDS)
    content = yaml.safe_load((ROOT / "profiles" / "smoke.yaml").read_text(encoding="utf-8"))
    content["backbone"]["name"] = str(backbone)
    content["variants"] = {
        "untrained": ["zero_shot"],
        "retriever": list(RETRIEVERS),
        "reranker": list(RERANKERS),
    }
    content["seeds"] = {"retriever": list(SEEDS), "reranker": [13]}
    content["bm25"] |= {"depth": 40}
    content["retrieval"] |= {"depth": 50}
    content["tests"] = {
        TEST_SET: {"source": "test", "corpus": "same"},
        "own": {"source": "test", "corpus": "own"},
        "unprepared": {"source": "test", "corpus": "same"},
    }
    content["measures"] = {"retrieval": ["RR@10"], "reranking": ["RR@10"]}
    (root / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_params()


def _content() -> Content:
    """Documents of random words; some of the queries are documents, and each has one relevant document."""
    chance = random.Random(3)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(8, 30))) for _ in range(DOCUMENTS)]
    texts[1] = texts[0]  # equal scores
    texts[2] = HOSTILE + " " + texts[2]
    documents = [Document(f"d{i}", texts[i][:5] if i % 2 else "", text) for i, text in enumerate(texts)]
    queries, qrels = [], {}
    for split, count in QUERIES.items():
        qrels[split] = []
        for number in range(count):
            relevant = chance.randrange(DOCUMENTS)
            # A query with the id of a document is that document, and not in its own ranking.
            id = f"d{5 + number}" if split == "test" and number < 4 else f"{split}{number}"
            text = (
                texts[int(id[1:])]
                if id.startswith("d") and id[1:].isdigit()
                else _query(chance, texts[relevant])
            )
            queries.append(Query(id, text))
            qrels[split].append(Judgement(id, f"d{relevant}", 1 + number % 2))
    return Content(documents, qrels, queries, {"source": "test"})


def _test_set(content: Content) -> Content:
    """Queries about the same documents; one is a document, which is not left out of its ranking here."""
    chance, documents = random.Random(4), list(content.documents)
    texts = {"d9": documents[9].text, "o1": _query(chance, documents[4].text), "o2": "bab kib luk"}
    return Content(
        documents,
        {"test": [Judgement(id, f"d{20 + number}", 2) for number, id in enumerate(texts)]},
        [Query(id, text) for id, text in texts.items()],
        {"source": "test"},
    )


def _query(chance: random.Random, text: str) -> str:
    return " ".join(chance.sample([word for word in text.split() if word in WORDS], k=3))


def _write_model(params: Params, stage: Any, variant: str, seed: int) -> None:
    """A model as a training leaves it, with weights that are no longer those that it started with."""
    name = params.backbone.name
    torch.manual_seed(seed)
    if stage == "retriever":
        model: Any = new_biencoder(
            name,
            pooling=params.backbone.pooling,
            query_length=params.retriever.query_length,
            document_length=params.retriever.document_length,
        )
    else:
        model = new_crossencoder(name, length=params.reranker.length)
    method = params.methods[variant].model_copy(update={"budget": None, **SIZES.get(variant, {})})
    saving.attach(model, variant, method)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.2 * torch.randn(weight.shape)
    saving.save(model.eval(), layout.model(stage, variant, seed), name)
