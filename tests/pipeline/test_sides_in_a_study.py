"""Retrievers with sides of their own, from indexing to the analysis of the loss."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.learning.objective import objectives
from peftir.models import saving
from peftir.models.biencoder import encode
from peftir.models.sides import tuned_sides
from peftir.pipeline.backbone import settle, settled
from peftir.pipeline.evaluate_test import evaluate_test
from peftir.pipeline.export import export
from peftir.pipeline.index import index_documents
from peftir.pipeline.new_retriever import new_retriever
from peftir.pipeline.retrieve import retrieve
from peftir.pipeline.retrieve_test import retrieve_test
from peftir.pipeline.train_retriever import train_retriever
from peftir.pipeline.untrained import rank_untrained
from peftir.ranking.runs import read_run, write_run
from peftir.serve.chains import ModelName
from peftir.serve.shared_backbone import SharedBackbone
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.files import remove, write_json
from peftir.training.batch_losses import RetrieverLoss
from peftir.training.data import TrainingData
from peftir.training.distributed import launch
from peftir.training.tokens import tokenized_in_memory
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text", "model", "matrix", "graph"]
TEXTS = [" ".join(WORDS[i : i + 1 + i % 5]) for i in range(len(WORDS))]
QUERIES = {"train": ["sort list", "open file"], "dev": ["a path"], "test": ["matrix graph", "number"]}
SIZES: dict[str, dict[str, Any]] = {"lora": {"rank": 3}, "iaa_l": {"rank": 2, "aside_rank": 2}, "full": {}}


@pytest.fixture(scope="module", params=["query", "separate"])
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Params]]:
    """A study with an untrained retriever and three trained ones, indexed and searched."""
    root = tmp_path_factory.mktemp(request.param)
    queries = [Query(f"{split}{i}", text) for split, texts in QUERIES.items() for i, text in enumerate(texts)]
    qrels = {
        split: [Judgement(f"{split}{i}", f"d{i}", 1) for i in range(len(texts))]
        for split, texts in QUERIES.items()
    }
    documents = [Document(f"d{i}", "", text) for i, text in enumerate(TEXTS)]
    write_collection(root / layout.COLLECTION, Content(documents, qrels, queries, {"source": "a test"}))
    write_run(
        root / layout.BM25_RUNS / "train.trec", {q.id: [("d5", 2.0), ("d6", 1.0)] for q in queries}, tag="b"
    )
    write_run(root / layout.BM25_RUNS / "dev.trec", {"dev0": [("d1", 1.0)]}, tag="b")
    write_tiny_bert(root / "backbone", WORDS)
    params = make_params(
        root,
        backbone={"name": "backbone"},
        retriever={"tune": request.param},
        variants={"untrained": ["zero_shot"], "retriever": list(SIZES)},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        settle(Path(), params)
        rank_untrained(Path(), params, "zero_shot")
        for variant in SIZES:
            write_model(params, variant)
            index_documents(Path(), params, variant, 13)
            retrieve(Path(), params, variant, 13)
        yield root, params


def write_model(params: Params, variant: str) -> None:
    """A model as a training leaves it, with weights that are no longer those that it started with."""
    torch.manual_seed(5)
    model = new_retriever(Path(), settled(Path(), params), params.retriever.tune)
    method = params.methods[variant].model_copy(update={"budget": None, **SIZES[variant]})
    saving.attach(model, variant, method)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape)
    saving.save(model.eval(), layout.model("retriever", variant, 13), "backbone")
    record = {
        "stage": "retriever",
        "seed": 13,
        "type": method.type,
        "knobs": {},
        "weights": {"trained": 1, "head": 0, "share": 0.1},
        "steps": 1,
        "best_step": 1,
        "best_dev": 0.5,
        "measure": "RR@10",
    }
    write_json(layout.training("retriever", variant, 13), record)


def load(variant: str) -> SentenceTransformer:
    return saving.load(SentenceTransformer, layout.model("retriever", variant, 13))


def test_one_index_serves_all_where_queries_alone_are_tuned(study: tuple[Path, Params]) -> None:
    _, params = study
    indexes = [layout.index("zero_shot", None), *(layout.index(variant, 13) for variant in SIZES)]
    files = [(folder / "index.faiss").stat().st_ino for folder in indexes]
    assert len(set(files)) == (1 if params.retriever.tune == "query" else len(files))
    contents = {(folder / "index.faiss").read_bytes() for folder in indexes}
    assert len(contents) == len(set(files))


def test_the_shared_index_follows_its_settings(study: tuple[Path, Params]) -> None:
    root, params = study
    if params.retriever.tune != "query":
        return
    folder = layout.index("lora", 13)
    before = (folder / "index.faiss").read_bytes()
    changed = params.model_copy(update={"index": params.index.model_copy(update={"factory": "HNSW4"})})
    index_documents(Path(), changed, "lora", 13)
    assert (folder / "index.faiss").read_bytes() != before
    assert len([path for path in (root / layout.SHARED_INDEX).iterdir() if path.is_dir()]) == 1
    index_documents(Path(), params, "lora", 13)
    assert (folder / "index.faiss").read_bytes() == before


def test_no_index_of_a_test_set_stays(study: tuple[Path, Params]) -> None:
    """The shared one serves all retrievers, and is removed when their runs are evaluated."""
    root, params = study
    documents = [Document(id, "", f"{text} more") for id, text in Collection(layout.COLLECTION).texts()]
    qrels = {"test": [Judgement("test0", "d0", 1)]}
    content = Content(documents, qrels, [Query("test0", "graph")], {"source": "a test"})
    write_collection(layout.of("far", layout.COLLECTION), content)
    changes = {
        "seeds": {"retriever": [13], "reranker": [13]},
        "variants": params.variants.model_dump() | {"reranker": ["lora"]},
        "tests": {"far": {"source": "beir:far"}},
    }
    params = Params.model_validate(params.model_dump() | changes)
    store = root / layout.of("far", layout.SHARED_INDEX)
    for variant, seed in (("zero_shot", None), *((variant, 13) for variant in SIZES)):
        retrieve_test(root, params, "far", variant, seed)
        assert not (root / layout.of("far", layout.index(variant, seed))).exists()
        assert len([*store.glob("*/")]) == (params.retriever.tune == "query")
    reranked = layout.runs("reranking", "lora", 13)
    for run in (layout.BM25_RUNS / "test.trec", reranked / "test.trec", reranked / "test.interpolated.trec"):
        write_run(root / layout.of("far", run), {"test0": [("d0", 1.0)]}, tag="t")
    list(evaluate_test(root, params, "far"))
    assert not [*store.glob("*/")]


def test_two_processes_share_an_index_as_one_does(study: tuple[Path, Params]) -> None:
    root, params = study
    if params.retriever.tune != "query":
        return
    files = [layout.index(variant, 13) / "index.faiss" for variant in ("lora", "full")]
    before = files[0].read_bytes()
    remove(root / layout.SHARED_INDEX)
    launch(index_documents, (Path(), params, "lora", 13), 2, "index.processes")
    index_documents(Path(), params, "full", 13)
    assert files[0].stat().st_ino == files[1].stat().st_ino
    assert files[0].read_bytes() == before


@pytest.mark.parametrize("variant", SIZES)
def test_the_run_ranks_by_the_queries_side_over_the_documents_side(
    study: tuple[Path, Params], variant: str
) -> None:
    _, params = study
    model, collection = load(variant), Collection(layout.COLLECTION)
    documents = encode(model, TEXTS, "document", "float32")
    if params.retriever.tune == "query":
        untouched = encode(new_retriever(Path(), params), TEXTS, "document", "float32")
        assert np.array_equal(documents, untouched)
    run = read_run(layout.runs("retrieval", variant, 13) / "test.trec")
    for query, text in collection.queries("test").items():
        [vector] = encode(model, [text], "query", "float32")
        scores = dict(zip((f"d{i}" for i in range(len(TEXTS))), documents @ vector, strict=True))
        for id, score in run[query]:
            assert score == pytest.approx(scores[id], abs=1e-5)


@pytest.mark.parametrize("variant", SIZES)
def test_served_queries_have_the_vectors_of_the_queries_side(
    study: tuple[Path, Params], variant: str
) -> None:
    root, params = study
    models = SharedBackbone(root, params)
    expected = encode(load(variant), QUERIES["test"], "query", "float32")
    for _ in range(2):  # again after another has been in use
        served = models.model(ModelName("retriever", variant, 13))
        assert np.array_equal(encode(served, QUERIES["test"], "query", "float32"), expected)
        models.model(ModelName("retriever", "zero_shot", None))


@pytest.mark.parametrize("merged", [False, True])
def test_an_export_has_both_sides(study: tuple[Path, Params], merged: bool, tmp_path: Path) -> None:
    root, params = study
    export(Path(), params, "lora", "retriever", 13, tmp_path / "out", merged=merged)
    card = (tmp_path / "out/README.md").read_text()
    assert 'SentenceTransformer("FOLDER/document")' in card
    assert {"query": "is tuned, the documents", "separate": "weights of its own"}[
        params.retriever.tune
    ] in card
    if merged:
        assert not list((tmp_path / "out").rglob("adapter*"))
        (root / "backbone").rename(root / "elsewhere")  # it is not needed any more
    try:
        sides = {
            task: SentenceTransformer(str(tmp_path / "out" / folder))
            for task, folder in (("query", ""), ("document", "document"))
        }
    finally:
        if merged:
            (root / "elsewhere").rename(root / "backbone")
    model = load("lora").double()
    for task, side in sides.items():
        found, expected = (encode(each.double(), TEXTS, task, "float32") for each in (side, model))  # type: ignore[arg-type]
        # Merged weights are rounded to float32: by 6e-8, which each of two layers enlarges some ten times.
        assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("variant", SIZES)
def test_the_loss_that_is_analysed_is_the_one_that_was_trained(
    study: tuple[Path, Params], variant: str
) -> None:
    root, params = study
    small = params.retriever.model_copy(update={"hard_negatives": 1})
    given = params.model_copy(update={"retriever": small})
    objective = objectives(root, given, "retriever", None)(variant, 13)
    data = TrainingData.read(root, None, small, negatives=1, key="retriever.hard_negatives")
    [batch] = data.sampler.draw(1, params.learning.queries.retriever, params.learning.seed)
    model = load(variant).requires_grad_(False)
    loss = RetrieverLoss(model, data.sampler, params.retriever.temperature)
    trained = loss(batch, tokenized_in_memory(data, [batch], loss))
    assert objective.loss().item() == trained.item()
    count = sum(weight.numel() for weight in objective.weights)
    sides = {"query": 1, "separate": 2}[params.retriever.tune]
    one_side = {
        "lora": 3 * 2 * 2 * 2 * 32,
        "full": sum(p.numel() for p in new_retriever(root, params).parameters()),
    }
    if variant in one_side:
        assert count == sides * one_side[variant]
    gradients = torch.autograd.grad(objective.loss(), objective.weights, allow_unused=True)
    assert sum(g is not None and bool(g.any()) for g in gradients) >= 2 * sides


def test_a_training_counts_both_sides_and_saves_what_it_trained(study: tuple[Path, Params]) -> None:
    root, params = study
    settings = {"steps": 2, "batch_size": 2, "mini_batch_size": 1, "evaluate_every": 1, "dev_documents": 4}
    settings |= {"negatives_depth": 2, "gradient_checkpointing": True}
    method = params.methods["lora"].model_copy(update={"budget": None, "rank": 4})
    given = params.model_copy(
        update={
            "retriever": params.retriever.model_copy(update=settings),
            "methods": params.methods | {"lora": method},
        }
    )
    train_retriever(root, given, "lora", 21, lambda point: None)
    record = json.loads((root / layout.training("retriever", "lora", 21)).read_text())
    sides = {"query": 1, "separate": 2}[params.retriever.tune]
    assert record["weights"]["trained"] == sides * 4 * 2 * 2 * 2 * 32
    assert len(record["gradients"]) == sides * 2 * 2  # two projections of two layers
    model = saving.load(SentenceTransformer, root / layout.model("retriever", "lora", 21))
    assert tuned_sides(model) == params.retriever.tune
