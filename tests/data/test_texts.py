"""Document texts by id, from disk."""

from __future__ import annotations

import pickle
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.texts import DocumentTexts, copy_of
from peftir.data.writing import write_collection
from peftir.system.errors import PeftirError


def collection_in(folder: Path, word: str = "text") -> Collection:
    documents = [Document(f"d{i}", f"Title {i}" if i % 2 else "", f"{word} {i}") for i in range(3000)]
    content = Content(
        documents=documents,
        qrels={"test": [Judgement("q", "d0", 1)]},
        queries=[Query("q", "?")],
        origin={"source": "made for this test"},
    )
    write_collection(folder, content)
    return Collection(folder)


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return collection_in(tmp_path / "collection")


def test_texts_come_in_the_order_asked_for_titles_first(collection: Collection) -> None:
    texts = DocumentTexts(collection, ["d2", "d2999", "d7"])
    assert texts(["d2999", "d2", "d7", "d2"]) == [
        "Title 2999 text 2999",
        "text 2",
        "Title 7 text 7",
        "text 2",
    ]
    assert texts([]) == []
    assert pickle.loads(pickle.dumps(texts))(["d7", "d2"]) == ["Title 7 text 7", "text 2"]


def test_a_document_that_is_not_there_is_an_error(collection: Collection) -> None:
    with pytest.raises(PeftirError, match="has no document 'nowhere'"):
        DocumentTexts(collection, ["d1", "nowhere"])


def test_the_copy_is_made_once_a_corpus_beside_it(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    first = DocumentTexts(collection, ["d1"])
    [copy] = {*tmp_path.iterdir()} - {collection.folder, tmp_path / "temporary"}
    assert copy == copy_of(collection)
    made = copy.stat().st_ino
    DocumentTexts(collection, ["d2"])
    assert copy.stat().st_ino == made
    changed = DocumentTexts(collection_in(collection.folder, "words"), ["d1"])
    assert (first(["d1"]), changed(["d1"])) == (["Title 1 text 1"], ["Title 1 words 1"])
    assert {*tmp_path.iterdir()} == {collection.folder, tmp_path / "temporary", copy}
    assert not any((tmp_path / "temporary").iterdir())


def texts_of(folder: Path, ids: list[str]) -> list[str]:
    return DocumentTexts(Collection(folder), ids)(ids)


def test_several_processes_may_make_it_at_once(collection: Collection) -> None:
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        found = [pool.submit(texts_of, collection.folder, ["d2", "d1"]) for _ in range(9)]
        assert [each.result() for each in found] == [["text 2", "Title 1 text 1"]] * 9
    assert {*collection.folder.parent.iterdir()} == {collection.folder, copy_of(collection)}


@pytest.mark.parametrize("content", [b"", b"not arrow at all"])
def test_a_copy_that_is_none_is_made_again(collection: Collection, content: bytes) -> None:
    copy_of(collection).write_bytes(content)
    assert texts_of(collection.folder, ["d2"]) == ["text 2"]
