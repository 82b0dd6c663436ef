"""A training's tokens: of each distinct text once, on disk while it lasts, and the right ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from lessons import example, loss_of, training_data
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.training import tokens
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from peftir.training.data import TrainingData
from peftir.training.examples import Batches, Example
from peftir.training.tokens import tokenized
from tiny_backbone import write_tiny_bert

WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text"]
QUERIES = {f"q{i}": " ".join(WORDS[i : i + 2]) for i in range(4)} | {"long": "sort " * 40}
DOCUMENTS = {f"d{i}": " ".join(WORDS[i:] + WORDS[:3]) for i in range(7)} | {
    "d7": "file" + " file" * 44,
    "d8": "",
}
QRELS = {query: {f"d{i}": 1} for i, query in enumerate(QUERIES)}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_bert(tmp_path_factory.mktemp("backbone"), WORDS))


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    return training_data(tmp_path / "collection", QUERIES, DOCUMENTS, QRELS)


def losses(backbone: str, data: TrainingData) -> Iterator[Any]:
    retriever = new_biencoder(
        backbone,
        pooling="mean",
        query_length=6,
        document_length=9,
        query_prefix="file ",
        document_prefix="path ",
    )
    yield RetrieverLoss(retriever, data.sampler, 0.05)
    yield RerankerLoss(new_crossencoder(backbone, length=16))  # 13 for both: one is left over


def inputs_of(loss: Any, data: TrainingData, batch: list[Example]) -> list[dict[str, torch.Tensor]]:
    """What the model is given for ``batch``."""
    seen: list[dict[str, torch.Tensor]] = []
    hook = loss._model.register_forward_pre_hook(lambda model, args: seen.append(dict(args[0])))
    loss_of(data, [batch], loss)(batch)
    hook.remove()
    return seen


def test_models_read_what_their_tokenizer_gives_for_the_texts(backbone: str, data: TrainingData) -> None:
    asked, positives, negatives = ["q1", "long", "q3"], ["d1", "d4", "d3"], ["d8", "d7", "d2"]
    batch = [example(data, *ids) for ids in zip(asked, positives, negatives, strict=True)]
    retriever, reranker = losses(backbone, data)

    def given(*texts: list[str], length: int) -> dict[str, torch.Tensor]:
        return dict(
            retriever.tokenizer(
                *texts, truncation="longest_first", max_length=length, padding=True, return_tensors="pt"
            )
        )

    queries = ["file " + QUERIES[id] for id in asked]
    documents = ["path " + DOCUMENTS[id] for id in positives + negatives]
    side_by_side = [id for pair in zip(positives, negatives, strict=True) for id in pair]
    pairs = [QUERIES[id] for id in asked for _ in range(2)], [DOCUMENTS[id] for id in side_by_side]
    expected = [given(queries, length=6), given(documents, length=9), given(*pairs, length=16)]
    found = [*inputs_of(retriever, data, batch), *inputs_of(reranker, data, batch)]
    for inputs, wanted in zip(found, expected, strict=True):
        for key in wanted:
            assert torch.equal(inputs[key], wanted[key])


def test_each_distinct_text_is_tokenized_once_and_the_file_goes_with_the_training(
    backbone: str, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenize, seen = tokens.bare_tokens, list[str]()
    monkeypatch.setattr(
        tokens, "bare_tokens", lambda t, texts, n: seen.extend(texts) or tokenize(t, texts, n)
    )
    batches, file = Batches(data.sampler, 300, 3, seed=1), tmp_path / "unfinished" / "lora-13.0.tokens"
    for loss in losses(backbone, data):
        seen.clear()
        with tokenized(data, batches, loss, file) as table:
            expected = [loss.query.prefix + text for text in QUERIES.values()]
            assert sorted(seen) == sorted(expected + [loss.document.prefix + t for t in DOCUMENTS.values()])
            assert Dataset.from_file(str(file)).num_rows == len(seen)
            batch = next(iter(batches))
            assert torch.isfinite(loss(batch, table))
            assert len(seen) == len(QUERIES) + len(DOCUMENTS)  # a step tokenizes nothing
        assert list(file.parent.iterdir()) == []


def test_an_error_and_what_a_killed_training_left_are_cleared_away(
    backbone: str, data: TrainingData, tmp_path: Path
) -> None:
    file = tmp_path / "unfinished" / "lora-13.0.tokens"
    file.parent.mkdir()
    file.write_bytes(b"half of a table")
    retriever, _ = losses(backbone, data)
    batches = Batches(data.sampler, 2, 2, seed=1)
    with pytest.raises(KeyboardInterrupt), tokenized(data, batches, retriever, file) as table:
        assert table.queries([next(iter(batches))[0].query]).tokens[0]
        raise KeyboardInterrupt
    assert list(file.parent.iterdir()) == []
