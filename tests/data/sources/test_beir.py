"""Reading a BEIR folder: its splits, a dev share held out of train, and mistakes with file and line."""

import json

import pytest

from peftir.data.collection import Collection
from peftir.data.hashing import point
from peftir.data.prepare import prepare
from peftir.system.errors import PeftirError

SHARES = {"train": 0.75, "dev": 0.25, "test": 0.0}
CORPUS = [
    {"_id": "d1", "title": "Wings", "text": "Lift and drag.", "metadata": {"year": 1958}},
    {"_id": "d2", "title": "", "text": ""},
    {"_id": "d3", "text": "No title\there."},
    {"_id": "d4", "title": None, "text": "Tail 翼"},
]
QUERIES = [{"_id": f"q{number}", "text": f"question {number}"} for number in range(40)]
HEADER = "query-id\tcorpus-id\tscore\n"


def jsonl(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


@pytest.fixture
def source(tmp_path):
    """A good folder: forty queries, thirty of them for training."""
    folder = tmp_path / "source"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(jsonl(CORPUS))
    (folder / "queries.jsonl").write_text(jsonl(QUERIES))
    (folder / "qrels" / "train.tsv").write_text(
        HEADER + "".join(f"q{n}\td{n % 4 + 1}\t1\n" for n in range(30))
    )
    (folder / "qrels" / "test.tsv").write_text(HEADER + "q30\td1\t2\nq30\td3\t0\nq31\td4\t1\n")
    return folder


def read(source, documents=None):
    folder = source.parent / "collection"
    prepare(f"beir:{source}", folder, documents=documents, splits=SHARES)
    return Collection(folder)


def test_a_folder_is_read_whole(source):
    (source / "qrels" / "dev.tsv").write_text(HEADER + "q32\td1\t1\n")
    collection = read(source)
    assert list(collection.texts()) == [
        ("d1", "Wings Lift and drag."),
        ("d2", ""),
        ("d3", "No title\there."),
        ("d4", "Tail 翼"),
    ]
    assert collection.queries("test") == {"q30": "question 30", "q31": "question 31"}
    assert collection.qrels("test") == {"q30": {"d1": 2, "d3": 0}, "q31": {"d4": 1}}
    assert collection.qrels("dev") == {"q32": {"d1": 1}}
    assert list(collection.qrels("train")) == [f"q{n}" for n in range(30)]
    assert collection.manifest["origin"] == {"source": "beir", "folder": "source"}
    assert (collection.manifest["empty_documents"], collection.manifest["queries_without_judgement"]) == (
        1,
        7,
    )


def test_a_share_of_the_training_queries_is_held_out_where_there_is_no_dev(source):
    collection = read(source)
    dev = {f"q{n}" for n in range(30) if point(f"dev q{n}") < 0.25}
    assert set(collection.qrels("dev")) == set(collection.queries("dev")) == dev
    assert set(collection.qrels("train")) == {f"q{n}" for n in range(30)} - dev
    assert 1 <= len(dev) <= 15


def test_a_collection_for_testing_alone_is_refused(source):
    (source / "qrels" / "train.tsv").unlink()
    with pytest.raises(PeftirError, match=r"has test queries but none of train and dev; training needs"):
        read(source)
    assert [path.name for path in source.parent.iterdir()] == ["source"]


def contents_of(folder):
    """Of all files but the manifest, which names the source's own."""
    return {path.name: path.read_bytes() for path in folder.rglob("*.*") if path.suffix != ".json"}


def test_windows_lines_a_byte_order_mark_blank_lines_and_no_header_change_nothing(source):
    read(source)
    plain = contents_of(source.parent / "collection")
    for path in source.rglob("*.*"):
        text = path.read_text().removeprefix(HEADER) + "\n"
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    read(source)
    assert plain == contents_of(source.parent / "collection")
