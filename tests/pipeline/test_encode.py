"""Encoding a collection: the same vectors whether in memory, in shards, after a kill or by two processes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.models import saving
from peftir.models.biencoder import encode, new_biencoder
from peftir.pipeline.encode import CHUNK, Chunk, Shards, encode_collection
from peftir.training.distributed import launch
from tiny_backbone import write_tiny_bert

WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text", "model", "matrix", "graph"]
COUNT = 2 * CHUNK + 100  # three chunks, the last one short


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection and a retriever on a tiny backbone."""
    root = tmp_path_factory.mktemp("study")
    generator = random.Random(3)
    content = Content(
        documents=[
            Document(f"d{i}", "", " ".join(generator.choices(WORDS, k=1 + i % 5))) for i in range(COUNT)
        ],
        qrels={"test": [Judgement("q", "d0", 1)]},
        queries=[Query("q", "sort")],
        origin={"source": "a test"},
    )
    write_collection(root / "collection", content)
    backbone = str(write_tiny_bert(root / "backbone", WORDS))
    model = new_biencoder(backbone, pooling="mean", query_length=8, document_length=8)
    saving.save(model, root / "model", backbone)
    return root


@pytest.fixture(scope="module")
def model(root: Path) -> SentenceTransformer:
    return saving.load(SentenceTransformer, root / "model")


@pytest.fixture(scope="module")
def collection(root: Path) -> Collection:
    return Collection(root / "collection")


@pytest.fixture(scope="module")
def at_once(collection: Collection, model: SentenceTransformer) -> np.ndarray:
    """All vectors, a chunk at a time and without :mod:`peftir.pipeline.encode`."""
    chunks = collection.text_chunks(CHUNK)
    return np.concatenate([encode(model, texts, "document", "float32") for _, texts in chunks])


def joined(chunks: Iterable[Chunk]) -> tuple[list[str], np.ndarray]:
    found = list(chunks)
    return [id for ids, _ in found for id in ids], np.concatenate([vectors for _, vectors in found])


def in_shards(
    root: Path, collection: Collection, model: SentenceTransformer, shards: Path, precision: str = "float32"
) -> Iterable[Chunk]:
    """Encode with a shard a chunk."""
    return encode_collection(collection, model, root / "model", shards, precision=precision, size=1)


def in_shards_by_each(root: Path, shards: Path) -> None:
    """What each of several processes does."""
    model = saving.load(SentenceTransformer, root / "model")
    in_shards(root, Collection(root / "collection"), model, shards)


def test_a_small_collection_stays_in_memory(
    root: Path, collection: Collection, model: SentenceTransformer, at_once: np.ndarray, tmp_path: Path
) -> None:
    vectors = encode_collection(collection, model, root / "model", tmp_path / "shards", precision="float32")
    for _ in range(2):  # it can be read again
        ids, found = joined(vectors)
        assert ids == [f"d{i}" for i in range(COUNT)]
        assert found.tobytes() == at_once.tobytes()
    assert list(tmp_path.iterdir()) == []


def test_shards_hold_the_same_bits(
    root: Path, collection: Collection, model: SentenceTransformer, at_once: np.ndarray, tmp_path: Path
) -> None:
    vectors = in_shards(root, collection, model, tmp_path / "shards")
    assert [len(ids) for ids, _ in vectors] == [CHUNK, CHUNK, 100]
    ids, found = joined(vectors)
    assert ids == [f"d{i}" for i in range(COUNT)]
    assert found.tobytes() == at_once.tobytes()


def test_what_was_finished_before_a_kill_is_not_encoded_again(
    root: Path,
    collection: Collection,
    model: SentenceTransformer,
    at_once: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shards = tmp_path / "shards"
    text_chunks = Collection.text_chunks

    def killed_at_the_third(self: Collection, size: int):
        yield from islice(text_chunks(self, size), 2)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "text_chunks", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            in_shards(root, collection, model, shards)
    assert sorted(path.name for path in shards.iterdir()) == ["000000.safetensors", "identity.json"]
    before = (shards / "000000.safetensors").stat()
    _, found = joined(in_shards(root, collection, model, shards))
    after = (shards / "000000.safetensors").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert found.tobytes() == at_once.tobytes()


def test_shards_of_something_else_are_not_taken_over(
    root: Path, collection: Collection, model: SentenceTransformer, at_once: np.ndarray, tmp_path: Path
) -> None:
    in_shards(root, collection, model, tmp_path / "shards", precision="bfloat16")
    _, found = joined(in_shards(root, collection, model, tmp_path / "shards"))
    assert found.tobytes() == at_once.tobytes()


def test_two_processes_give_what_one_gives(root: Path, at_once: np.ndarray, tmp_path: Path) -> None:
    launch(in_shards_by_each, (root, tmp_path), 2, "index.processes")
    ids, found = joined(Shards(tmp_path))
    assert ids == [f"d{i}" for i in range(COUNT)]
    # Each has half the threads, so sums are in another order; the weights of this backbone enlarge float32's
    # 6e-8 some ten times in each of the two layers.
    assert np.abs(found - at_once).max() < 1e-5
