"""Queries cut from texts that have none: titles, first sentences, and what is left of the documents."""

import json

import pytest

from peftir.data.collection import SPLITS, Collection
from peftir.data.prepare import prepare
from peftir.system.errors import PeftirError

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
REST = "It is worked out from the pressure over the span and then compared with what a tunnel gave, number"


def text(number):
    return f"The lift of wing number {number} is measured here. {REST} {number}."


RECORDS = [{"_id": f"d{n}", "text": text(n)} for n in range(30)]


@pytest.fixture
def source(tmp_path):
    return tmp_path / "texts.jsonl"


def read(place, documents=None):
    folder = place.parent / "collection"
    prepare(f"texts:{place}", folder, documents=documents, splits=SHARES)
    return Collection(folder)


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def pairs(collection):
    """(query, its text, the document's text) of all splits."""
    texts = dict(collection.texts())
    return {
        query: (text, *(texts[document] for document in collection.qrels(split)[query]))
        for split in SPLITS
        for query, text in collection.queries(split).items()
    }


def test_a_first_sentence_is_the_query_and_no_longer_in_the_document(source):
    write(source, RECORDS)
    collection = read(source)
    assert pairs(collection) == {
        f"summary:d{n}": (f"The lift of wing number {n} is measured here.", f"{REST} {n}.") for n in range(30)
    }
    assert all(collection.queries(split) for split in SPLITS)


def test_a_title_comes_before_a_first_sentence(source):
    titled = {"_id": "t", "title": "Wings in a tunnel", "text": text(99)}
    write(source, [*RECORDS, titled])
    assert pairs(read(source))["summary:t"] == ("Wings in a tunnel", text(99))


@pytest.mark.parametrize(
    "record",
    [
        {"_id": "x", "title": "A short one", "text": "Too short. To be found."},
        {"_id": "x", "text": "No sentence ends here and what follows is nothing " + "at all " * 20},
        {"_id": "x", "title": "", "text": ""},
        {"_id": "x", "text": f"The lift of wing number 1 is measured here. {REST} again, and once more."},
        {"_id": "x", "text": f"Something else is said at first here. {REST} 1."},
        {"_id": "x", "text": f"It says so twice. {REST} {REST} It says so twice."},
    ],
)
def test_a_text_that_gives_no_sound_query_stays_whole(record, source):
    write(source, [*RECORDS, record])
    collection = read(source)
    assert "summary:x" not in pairs(collection)
    assert dict(collection.texts())["x"] == f"{record.get('title', '')} {record['text']}".strip()
    # A query or a document that two texts share stands for neither.
    assert len(pairs(collection)) == 30 - (
        "number 1 is" in record["text"] or record["text"].endswith("number 1.")
    )


def test_a_folder_of_files(tmp_path):
    folder = tmp_path / "texts"
    for n in range(30):
        (folder / "plain texts").mkdir(parents=True, exist_ok=True)
        (folder / "plain texts" / f"{n}.txt").write_text(text(n))
    (folder / "note.md").write_text(f"# Wings in a tunnel\n\n{text(99)}\n")
    (folder / "image.png").write_bytes(b"\x89PNG")
    collection = read(folder)
    found = pairs(collection)
    assert found["summary:note.md"] == ("Wings in a tunnel", text(99))
    assert found["summary:plain%20texts/7.txt"][1] == f"{REST} 7."
    assert collection.count_documents() == 31
    assert collection.manifest["origin"] == {"source": "texts", "place": "texts"}


def test_a_subset_is_within_every_larger_one(source):
    write(source, RECORDS)
    some, more, all_of_it = (dict(read(source, size).texts()) for size in (15, 25, None))
    assert (len(some), len(more), len(all_of_it)) == (15, 25, 30)
    assert some.items() <= more.items() <= all_of_it.items()


def test_mistakes_are_named(source):
    with pytest.raises(PeftirError, match=r"is 'texts:.*/none'; expected texts:FOLDER, of text, Mark"):
        prepare(f"texts:{source.parent}/none", source.parent / "c", documents=None, splits=SHARES)
    with pytest.raises(PeftirError, match=r"texts.jsonl: is missing; expected a file"):
        read(source)
    write(source, RECORDS)
    with pytest.raises(PeftirError, match=r"collection.documents: is 31; expected at most 30, or null"):
        read(source, 31)
    write(source, [{"_id": "d1", "text": "Too short."}])
    with pytest.raises(PeftirError, match=r"no text has a title or a first sentence that could be its query"):
        read(source)
    write(source, [*RECORDS, RECORDS[3]])
    with pytest.raises(
        PeftirError, match=r"texts.jsonl:31: has the id 'd3' of .*texts.jsonl:4; ids must diff"
    ):
        read(source)
