"""What a retriever is tried on while it trains, and how its dev measure comes about."""

from __future__ import annotations

import torch

from peftir.models.biencoder import new_biencoder
from peftir.pipeline.train_retriever import dev_documents, retriever_on_dev

QRELS = {"q0": {"a": 1}, "q1": {"b": 1}}


def test_dev_documents_are_the_judged_ones_and_then_the_best_of_each_query_in_turn() -> None:
    run = {"q0": [("c", 3.0), ("a", 2.0), ("d", 1.0)], "q1": [("e", 2.0), ("f", 1.0)]}
    assert dev_documents(["q0", "q1"], QRELS, run, 5) == ["a", "b", "c", "e", "f"]


def test_a_collapsed_retriever_gains_nothing_from_the_place_of_the_judged_documents() -> None:
    model = new_biencoder(
        "sentence-transformers/all-MiniLM-L6-v2", pooling="mean", query_length=8, document_length=8
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    evaluate = retriever_on_dev(
        model,
        {"q0": "sort", "q1": "open"},
        ["a", "b", "c", "d"],
        list,
        QRELS,
        measure="RR@10",
        precision="float32",
        own_documents=False,
    )
    assert evaluate() == (1 / 4 + 1 / 3) / 2  # d, c, b, a: all scores are 0
