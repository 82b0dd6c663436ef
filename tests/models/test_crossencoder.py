"""The re-ranker on the real backbone: scores, and the loss against sums written out by hand."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from torch import Tensor

from lessons import example, loss_of, training_data
from peftir.models import crossencoder
from peftir.models.crossencoder import new_crossencoder, score, score_candidates
from peftir.training.batch_losses import RerankerLoss

BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"
LENGTH = 16  # tokens, of which [CLS] and two [SEP] are three

ROUNDING = 1e-12
"""Of float64, in units of the largest number: 1e-16 a rounding, sums of some 1e3 numbers, six layers."""

QUERIES = {"q0": "sort a list", "q1": "open a file"}
DOCUMENTS = {
    "d0": "Return the items in ascending order.",
    "d1": "Give a handle to a path.",
    "d2": "Plot points and join them.",
    "d3": "Close.",
    "d4": "Write text to the window on the left, and to the one on the right as well.",
}
BATCH = [("q0", "d0", "d3", "d1"), ("q1", "d1", "d4", "d2")]


@pytest.fixture(scope="module")
def model() -> CrossEncoder:
    torch.manual_seed(3)  # the head is new
    model = new_crossencoder(BACKBONE, length=LENGTH)
    with torch.no_grad():
        model[0].model.classifier.weight *= 50  # scores that differ, as those of a trained head do
    return model.eval()


@pytest.fixture(scope="module")
def exact(model: CrossEncoder) -> CrossEncoder:
    """The model in float64: what is equal hardly differs, on any processor."""
    return copy.deepcopy(model).double()


def texts(ids: list[str]) -> list[str]:
    return [DOCUMENTS[id] for id in ids]


def loss_of_batch(
    model: CrossEncoder,
    folder: Path,
    batch: list[tuple[str, ...]] = BATCH,
    queries: dict[str, str] = QUERIES,
    documents: dict[str, str] = DOCUMENTS,
) -> Tensor:
    qrels = {query: {positive: 1} for query, positive, *_ in batch}
    data = training_data(folder / "collection", queries, documents, qrels)
    examples = [example(data, *ids) for ids in batch]
    return loss_of(data, [examples], RerankerLoss(model))(examples)


def pairs() -> list[tuple[str, str]]:
    generator = random.Random(1)
    words = " ".join(DOCUMENTS.values()).split()

    def text(most: int) -> str:
        return " ".join(generator.choices(words, k=generator.randrange(1, most)))

    return [(text(6), text(20)) for _ in range(40)]


def one(model: CrossEncoder, query: str, document: str) -> float:
    """The score of one pair, alone, by sentence-transformers itself."""
    return float(model.predict([(query, document)], convert_to_tensor=True)[0])


def close(expected: float | np.ndarray) -> Any:
    """Scores in float64, but for rounding."""
    return pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


def test_the_loss_is_the_one_written_out_by_hand(exact: CrossEncoder, tmp_path: Path) -> None:
    loss = loss_of_batch(exact, tmp_path)
    expected = 0.0
    for query, ids in (("q0", ["d0", "d3", "d1"]), ("q1", ["d1", "d4", "d2"])):
        exponentials = [math.exp(one(exact, QUERIES[query], DOCUMENTS[id])) for id in ids]
        expected -= math.log(exponentials[0] / sum(exponentials)) / 2
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert abs(loss.item() - math.log(3)) > 0.01  # a model that tells nothing apart would give log 3


def test_the_loss_reaches_every_weight_that_is_trained(model: CrossEncoder, tmp_path: Path) -> None:
    loss_of_batch(model, tmp_path).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    model.zero_grad(set_to_none=True)
    # One number added to all keys changes no attention, one added to all scores no softmax.
    assert {name for name in without if "key.bias" not in name and "classifier.bias" not in name} == set()


def test_scores_are_those_of_sentence_transformers(model: CrossEncoder, exact: CrossEncoder) -> None:
    ours = score(model, pairs(), "float32")
    assert (ours.dtype, ours.shape) == (np.float32, (40,))
    theirs = exact.predict(pairs(), convert_to_tensor=True)
    assert score(exact, pairs(), "float32") == close(theirs.numpy())
    assert ours.std() > 0.1


def test_scores_are_not_squashed(model: CrossEncoder) -> None:
    scores = score(model, pairs(), "float32")
    assert scores.min() < 0 or scores.max() > 1


def test_a_score_depends_neither_on_its_place_nor_on_the_pairs_around_it(exact: CrossEncoder) -> None:
    given = pairs()
    together = score(exact, given, "float32")
    order = np.random.default_rng(0).permutation(len(given))
    assert score(exact, [given[i] for i in order], "float32") == close(together[order])
    alone = np.concatenate([score(exact, [pair], "float32") for pair in given])
    assert alone == close(together)


def test_scoring_again_gives_the_same_bits(model: CrossEncoder) -> None:
    for precision in ("float32", "bfloat16"):
        first, second = (score(model, pairs(), precision) for _ in range(2))
        assert first.tobytes() == second.tobytes()


def test_bfloat16_is_near_and_stays_float32_outside(model: CrossEncoder) -> None:
    exact, coarse = score(model, pairs(), "float32"), score(model, pairs(), "bfloat16")
    assert coarse.dtype == np.float32
    assert not np.array_equal(exact, coarse)
    assert np.corrcoef(exact, coarse)[0, 1] > 0.99


def test_no_pairs_have_no_scores(model: CrossEncoder) -> None:
    assert score(model, [], "float32").shape == (0,)
    assert score(model, [], "bfloat16").dtype == np.float32


def test_the_longer_of_the_two_is_cut(exact: CrossEncoder) -> None:
    # Tokens that are left for words: 13. "sort", "list" are one each.
    query, document = "sort " * 600, "list " * 600
    short = one(exact, "sort", "list " * 12)
    assert score(exact, [("sort", document)], "float32")[0] == close(short)
    assert one(exact, "sort", "list " * 11) != pytest.approx(short, abs=1e-4)
    # A query that alone is longer than the maximum leaves a short document whole.
    long = score(exact, [(query, "list list list")], "float32")[0]
    assert long == close(one(exact, "sort " * 10, "list list list"))
    assert np.isfinite(score(exact, [(query, document)], "float32")).all()


def test_a_batch_with_a_query_longer_than_the_maximum_trains(exact: CrossEncoder, tmp_path: Path) -> None:
    documents = {"d0": "list", "d3": "order", "d1": "file"}
    long, cut = (
        loss_of_batch(exact, tmp_path, BATCH[:1], {"q0": "sort " * count}, documents)
        for count in (600, LENGTH - 4)
    )
    assert long.item() == pytest.approx(cut.item(), rel=1e-9)
    assert long.item() != pytest.approx(math.log(3), rel=1e-4)  # the documents were not cut away


def test_an_empty_document_has_a_score_that_changes_no_other(exact: CrossEncoder) -> None:
    given = [("sort a list", ""), *pairs(), ("", "")]
    scores = score(exact, given, "float32")
    assert np.isfinite(scores).all()
    assert scores[1:-1] == close(score(exact, pairs(), "float32"))
    assert scores[0] == close(one(exact, "sort a list", ""))


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_candidates_keep_their_order_and_get_the_score_of_their_own_pair(
    exact: CrossEncoder, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(crossencoder, "CHUNK", chunk)
    candidates = {"q1": [("d4", 9.0), ("d0", 8.0)], "none": [], "q0": [("d0", 3.0), ("d3", 2.0), ("d4", 1.0)]}
    scores = score_candidates(exact, QUERIES, candidates, texts, "float32")
    assert {query: [doc for doc, _ in ranking] for query, ranking in scores.items()} == {
        "q1": ["d4", "d0"],
        "none": [],
        "q0": ["d0", "d3", "d4"],
    }
    for query, ranking in scores.items():
        for document, value in ranking:
            # Kept as a 32-bit float.
            assert value == pytest.approx(one(exact, QUERIES[query], DOCUMENTS[document]), rel=2**-23)
