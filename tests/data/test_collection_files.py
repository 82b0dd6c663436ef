"""A collection on disk: what is written is what is read, and what is wrong is named."""

import hashlib
import json

import pyarrow.parquet as pq
import pytest

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.ids import KnownIds
from peftir.data.writing import write_collection
from peftir.system.errors import PeftirError

DOCUMENTS = [
    Document("d1", "Wings", "Lift and\ndrag."),
    Document("d2", "", ""),
    Document("d3", "", "Tabs\tand “quotes”, 翼."),
    Document("d4", "Only a title", ""),
]
QUERIES = [
    Query("q2", "what is drag"),
    Query("q1", "what is lift"),
    Query("q3", "nobody judged this"),
    Query("q4", "nothing is relevant"),
]
QRELS = {
    "train": [Judgement("q1", "d1", 2), Judgement("q1", "d2", 0), Judgement("q2", "d3", 1)],
    "test": [Judgement("q4", "d4", 0)],
}


def content(documents=DOCUMENTS, queries=QUERIES, qrels=QRELS):
    return Content(
        documents,
        {split: iter(rows) for split, rows in qrels.items()},
        iter(queries),
        {"source": "test"},
    )


@pytest.fixture
def folder(tmp_path):
    write_collection(tmp_path / "collection", content())
    return tmp_path / "collection"


def test_what_is_written_is_read(folder):
    collection = Collection(folder)
    assert list(collection.texts()) == [
        ("d1", "Wings Lift and\ndrag."),
        ("d2", ""),
        ("d3", "Tabs\tand “quotes”, 翼."),
        ("d4", "Only a title"),
    ]
    assert collection.count_documents() == 4
    assert list(collection.queries("train").items()) == [("q2", "what is drag"), ("q1", "what is lift")]
    assert collection.queries("dev") == {}
    assert collection.queries("test") == {"q4": "nothing is relevant"}
    assert collection.qrels("train") == {"q1": {"d1": 2, "d2": 0}, "q2": {"d3": 1}}
    assert collection.qrels("dev") == {}
    assert collection.rows_of(["d4", "d1"]) == {"d1": 0, "d4": 3}
    assert list(collection.text_chunks(3)) == [
        (["d1", "d2", "d3"], ["Wings Lift and\ndrag.", "", "Tabs\tand “quotes”, 翼."]),
        (["d4"], ["Only a title"]),
    ]


def test_the_files_are_what_other_tools_read(folder):
    assert pq.read_table(folder / "corpus.parquet").to_pylist()[0] == {
        "_id": "d1",
        "title": "Wings",
        "text": "Lift and\ndrag.",
    }
    assert pq.read_table(folder / "queries.parquet").to_pylist() == [
        {"_id": "q2", "text": "what is drag", "split": "train"},
        {"_id": "q1", "text": "what is lift", "split": "train"},
        {"_id": "q4", "text": "nothing is relevant", "split": "test"},
    ]
    assert (folder / "qrels" / "train.tsv").read_bytes() == (
        b"query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td3\t1\n"
    )
    assert (folder / "qrels" / "dev.tsv").read_bytes() == b"query-id\tcorpus-id\tscore\n"


def test_the_manifest_counts_what_is_odd(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    files = manifest.pop("sha256")
    assert manifest == {
        "origin": {"source": "test"},
        "own_documents": False,
        "documents": 4,
        "empty_documents": 1,
        "splits": {
            "train": {"queries": 2, "judgements": 3, "queries_without_relevant": 0},
            "dev": {"queries": 0, "judgements": 0, "queries_without_relevant": 0},
            "test": {"queries": 1, "judgements": 1, "queries_without_relevant": 1},
        },
        "queries_without_judgement": 1,
    }
    assert set(files) == {
        str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.name != "manifest.json"
    }


def test_the_same_content_gives_the_same_bytes(folder, tmp_path):
    write_collection(tmp_path / "again", content())
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()


def test_a_large_corpus_goes_to_disk_in_groups(tmp_path):
    long = [Document(f"long{n}", "", "word " * 2**20) for n in range(7)]
    many = [Document(f"d{n}", "", f"text {n}") for n in range(5000)]
    qrels = {"test": [Judgement("q1", "d4999", 1)]}
    write_collection(tmp_path / "collection", content(long + many, QUERIES, qrels))
    file = pq.ParquetFile(tmp_path / "collection" / "corpus.parquet")
    groups = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    assert groups == [4, 4096, 907]  # 16 MiB of the long ones, then 4096 rows, then the rest
    collection = Collection(tmp_path / "collection")
    assert [id for id, _ in collection.texts()] == [document.id for document in long + many]
    assert collection.rows_of(["d4999"]) == {"d4999": 5006}


def test_a_collection_is_replaced_whole_and_kept_when_the_next_one_is_wrong(folder, tmp_path):
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(PeftirError):
        write_collection(folder, content(documents=[]))
    assert (folder / "manifest.json").read_bytes() == before
    write_collection(folder, content(DOCUMENTS[:1], QUERIES, {"test": [Judgement("q1", "d1", 1)]}))
    assert Collection(folder).count_documents() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["collection"]


WRONG = {
    "no documents": ({"documents": []}, "the source has no documents; expected some"),
    "an empty id": (
        {"documents": [Document("", "", "text")]},
        "document 1: the id is ''; expected one word",
    ),
    "an id of two words": (
        {"documents": [Document("d 1", "", "text", "corpus.jsonl:7")]},
        "corpus.jsonl:7: the id is 'd 1'; expected one word",
    ),
    "an id with a tab": (
        {"queries": [Query("q\t1", "text")]},
        r"query 1: the id is 'q\\t1'; expected one word",
    ),
    "a document twice": (
        {"documents": [*DOCUMENTS, DOCUMENTS[1]]},
        "document 5: has the id 'd2' of document 2",
    ),
    "half a character in a document": (
        {"documents": [Document("d1", "", "ab\ud83d")]},
        "document 'd1': character 2 of a text is half a surrogate pair",
    ),
    "half a character in a query": (
        {"queries": [Query("q1", "ab\ud83d", "queries.jsonl:3")]},
        "queries.jsonl:3: character 2",
    ),
    "a query twice": (
        {"queries": [*QUERIES, Query("q1", "again")]},
        "query 'q1': the id 'q1' comes a second time",
    ),
    "a judged query without text": (
        {"queries": [Query("q1", " \n")]},
        "query 'q1' is judged but has no text",
    ),
    "an unknown document": (
        {"qrels": {"test": [Judgement("q1", "d9", 1, "qrels/test.tsv:2")]}},
        "qrels/test.tsv:2: judges document 'd9', which is not in the corpus",
    ),
    "an unknown query": (
        {"qrels": {"dev": [Judgement("q1", "d1", 1), Judgement("q9", "d1", 1)]}},
        "dev judgement 2: judges query 'q9', which is not among the queries",
    ),
    "a negative grade": (
        {"qrels": {"test": [Judgement("q1", "d1", -1)]}},
        "test judgement 1: the grade is -1",
    ),
    "a grade with a point": (
        {"qrels": {"test": [Judgement("q1", "d1", 0.5)]}},
        "the grade is 0.5; expected a whole",
    ),
    "a judgement twice": (
        {"qrels": {"test": [Judgement("q1", "d1", 1), Judgement("q1", "d1", 2)]}},
        "test judgement 2: judges document 'd1' for query 'q1' a second time",
    ),
    "a query in two splits": (
        {"qrels": {"train": [Judgement("q1", "d1", 1)], "test": [Judgement("q1", "d3", 1)]}},
        "test judgement 1: query 'q1' is judged in train too",
    ),
    "a split without judgements": ({"qrels": {**QRELS, "dev": []}}, "dev: has no judgements; expected some"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_and_nothing_stays(case, tmp_path):
    parts, message = WRONG[case]
    with pytest.raises(PeftirError, match=message) as caught:
        write_collection(tmp_path / "collection", content(**parts))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def read_everything(folder):
    collection = Collection(folder)
    for split in ("train", "dev", "test"):
        collection.queries(split), collection.qrels(split)
    list(collection.texts())


@pytest.mark.parametrize(
    "name", ["manifest.json", "corpus.parquet", "queries.parquet", "qrels/train.tsv", "qrels/test.tsv"]
)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut short", "overwritten"])
def test_a_damaged_file_is_named(folder, name, damage):
    path = folder / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        left = {"empty": b"", "cut short": data[: len(data) * 2 // 3], "overwritten": b"\xff\x00" * len(data)}
        path.write_bytes(left[damage])
    with pytest.raises(PeftirError) as caught:
        read_everything(folder)
    assert str(caught.value).startswith(str(path))
    assert "again" in str(caught.value) or "prepare it first" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_page_within_the_corpus_is_named(tmp_path):
    noise = [Document(f"d{n}", "", hashlib.sha512(b"%d" % n).hexdigest()) for n in range(500)]
    write_collection(tmp_path / "c", content([*noise], QUERIES, {"test": [Judgement("q1", "d1", 1)]}))
    path = tmp_path / "c" / "corpus.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    with pytest.raises(PeftirError, match=r"corpus\.parquet: is damaged"):
        list(Collection(tmp_path / "c").texts())


def test_a_wrong_judgement_line_is_named(folder):
    path = folder / "qrels" / "train.tsv"
    path.write_text(path.read_text().replace("q2\td3\t1", "q2\td3\tone"))
    with pytest.raises(PeftirError, match=r"train\.tsv:4: 'q2.*' is no judgement"):
        Collection(folder).qrels("train")


def test_documents_that_are_not_there_are_named(folder):
    with pytest.raises(PeftirError, match=r"corpus.parquet: has no document 'd8' \(2 of 3 are missing\)"):
        Collection(folder).rows_of(["d9", "d1", "d8"])


def test_known_ids_are_those_that_were_added():
    ids = KnownIds()
    for number in range(1000):
        ids.add(f"id{number}")
    assert len(ids) == 1000
    assert all(f"id{number}" in ids for number in range(1000))
    assert not any(f"id{number}" in ids for number in range(1000, 3000))
    assert ids.repeats() == 0
    ids.add("id7")
    assert ids.repeats() == 1
    assert (ids.count("id7"), ids.count("id8"), ids.count("id1000")) == (2, 1, 0)
    assert "id7" in ids
    assert "id1000" not in ids
    ids.add("id1000")
    assert "id1000" in ids
