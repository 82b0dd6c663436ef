"""Document texts by id, from disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.texts import DocumentTexts
from peftir.data.writing import write_collection
from peftir.system.errors import PeftirError


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("texts") / "collection"
    documents = [Document(f"d{i}", f"Title {i}" if i % 2 else "", f"text {i}") for i in range(3000)]
    content = Content(
        documents=documents,
        qrels={"test": [Judgement("q", "d0", 1)]},
        queries=[Query("q", "?")],
        origin={"source": "made for this test"},
    )
    write_collection(folder, content)
    return Collection(folder)


def test_texts_come_in_the_order_asked_for_titles_first(collection: Collection) -> None:
    texts = DocumentTexts(collection, ["d2", "d2999", "d7"])
    assert texts(["d2999", "d2", "d7", "d2"]) == [
        "Title 2999 text 2999",
        "text 2",
        "Title 7 text 7",
        "text 2",
    ]
    assert texts([]) == []


def test_a_document_that_is_not_there_is_an_error(collection: Collection) -> None:
    with pytest.raises(PeftirError, match="has no document 'nowhere'"):
        DocumentTexts(collection, ["d1", "nowhere"])


def test_the_copy_on_disk_goes_with_the_object(collection: Collection) -> None:
    texts = DocumentTexts(collection, ["d1"])
    copy = Path(texts._copy.name)
    assert any(copy.rglob("*.arrow"))
    del texts
    assert not copy.exists()
