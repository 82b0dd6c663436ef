"""What is wrong with a source ends in one line that names the place and leaves nothing, or is repaired."""

import gzip
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from layouts import LAYOUTS, SHARES
from peftir.data.collection import Collection
from peftir.data.prepare import prepare
from peftir.system.errors import PeftirError

Edit = Callable[[Path], None]


def append(name: str, text: str | bytes) -> Edit:
    def edit(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write((text if isinstance(text, bytes) else text.encode()) + b"\n")

    return edit


def both(first: Edit, second: Edit) -> Edit:
    def edit(folder: Path) -> None:
        first(folder)
        second(folder)

    return edit


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Edit:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def delete(*names: str) -> Edit:
    def edit(folder: Path) -> None:
        for name in names:
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()

    return edit


def gzipped(name: str, change: Callable[[bytes], bytes]) -> Edit:
    def edit(folder: Path) -> None:
        data = gzip.compress((folder / name).read_bytes(), mtime=0)
        (folder / f"{name}.gz").write_bytes(change(data))
        (folder / name).unlink()

    return edit


class Bad(NamedTuple):
    """A good collection in a layout, what is done to it, and the line that comes of it."""

    layout: str
    edit: Edit
    message: str
    settings: Mapping[str, object] = MappingProxyType({})


CORPUS, QUERIES, TEST, TRAIN = "corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "qrels/train.tsv"
ONE_WORD = "expected one word, as run files separate by spaces"
GRADE = "expected a whole number from 0"

BAD = {
    "not JSON": Bad(
        "beir", append(CORPUS, '{"_id": "x", '), "corpus.jsonl:13: is not JSON (Expecting property name"
    ),
    "no JSON object": Bad(
        "beir", append(CORPUS, '["x"]'), "corpus.jsonl:13: is '[\"x\"]'; expected a JSON object"
    ),
    "JSON without end": Bad(
        "beir", append(CORPUS, "[" * 10**5), "corpus.jsonl:13: is not JSON (maximum recursion"
    ),
    "no id": Bad(
        "beir", append(CORPUS, '{"text": "x"}'), 'corpus.jsonl:13: "_id" is missing; expected text in'
    ),
    "an id that is a number": Bad(
        "beir", append(CORPUS, '{"_id": 5, "text": ""}'), 'corpus.jsonl:13: "_id" is 5; exp'
    ),
    "an id of two words": Bad(
        "beir", append(CORPUS, '{"_id": "d 1", "text": ""}'), f"corpus.jsonl:13: the id is 'd 1'; {ONE_WORD}"
    ),
    "an id without a character": Bad(
        "beir", append(CORPUS, '{"_id": "", "text": ""}'), f"corpus.jsonl:13: the id is ''; {ONE_WORD}"
    ),
    "a title that is a list": Bad(
        "beir",
        append(CORPUS, '{"_id": "x", "title": [], "text": ""}'),
        'corpus.jsonl:13: "title" is []; expected',
    ),
    "no text": Bad(
        "beir", append(CORPUS, '{"_id": "x"}'), 'corpus.jsonl:13: "text" is missing; expected text'
    ),
    "a text that is null": Bad(
        "beir", append(CORPUS, '{"_id": "x", "text": null}'), 'corpus.jsonl:13: "text" is null'
    ),
    "a document twice": Bad(
        "beir",
        append(CORPUS, '{"_id": "d1", "text": ""}'),
        "corpus.jsonl:13: has the id 'd1' of corpus.jsonl:2; ids must differ",
    ),
    "half a character": Bad(
        "beir",
        append(CORPUS, '{"_id": "x", "text": "a\\ud83d"}'),
        "corpus.jsonl:13: character 1 of a text is half",
    ),
    "not UTF-8": Bad(
        "beir",
        append(CORPUS, b'{"_id": "\xe9"}'),
        "corpus.jsonl:13: is not UTF-8 (byte 10); save the file as UTF-8",
    ),
    "UTF-16": Bad(
        "beir",
        rewrite(CORPUS, lambda data: data.decode().encode("utf-16")),
        "corpus.jsonl:1: is not UTF-8 (byte 1)",
    ),
    "gzip under a plain name": Bad(
        "beir", rewrite(CORPUS, gzip.compress), "corpus.jsonl:1: is not UTF-8 (byte 2)"
    ),
    "plain text under a gzip name": Bad(
        "beir",
        gzipped(CORPUS, gzip.decompress),
        "corpus.jsonl.gz:1: is not gzip (Not a gzipped file (b'{\"')); fetch",
    ),
    "gzip cut short": Bad(
        "beir",
        gzipped(CORPUS, lambda data: data[:-9]),
        "corpus.jsonl.gz:13: the gzip file is cut short here; fetch",
    ),
    "gzip with a wrong byte": Bad(
        "beir",
        gzipped(CORPUS, lambda data: data[:-8] + b"\0\0\0\0" + data[-4:]),
        "corpus.jsonl.gz:13: is not gzip (CRC",
    ),
    "an empty file of documents": Bad(
        "beir", rewrite(CORPUS, lambda data: b"\n"), "the source has no documents; expected some"
    ),
    "no file of documents": Bad(
        "beir", delete(CORPUS), "corpus.jsonl: is missing; a BEIR folder has it, plain or as .gz"
    ),
    "no file of queries": Bad("beir", delete(QUERIES), "queries.jsonl: is missing; a BEIR folder has it"),
    "no file of test judgements": Bad(
        "beir", delete(TEST), "qrels/test.tsv: is missing; a BEIR folder has it"
    ),
    "a query twice": Bad(
        "beir",
        append(QUERIES, '{"_id": "q0", "text": "x"}'),
        "queries.jsonl:30: the id 'q0' comes a second time",
    ),
    "a query of two words": Bad(
        "beir",
        append(QUERIES, '{"_id": "q\\t0", "text": "x"}'),
        r"queries.jsonl:30: the id is 'q\t0'; expected one",
    ),
    "a judged query without text": Bad(
        "beir",
        both(append(QUERIES, '{"_id": "x", "text": " "}'), append(TEST, "x\td1\t1")),
        "queries.jsonl:30: the query 'x' is judged but has no text; expected some",
    ),
    "judgements in two columns": Bad(
        "beir",
        append(TEST, "q24\td1"),
        "qrels/test.tsv:11: has 2 columns; expected query, document, score, with a",
    ),
    "judgements with spaces": Bad(
        "beir", append(TEST, "q24 d1 1"), "qrels/test.tsv:11: has 1 columns; expected query"
    ),
    "TREC's judgements in BEIR": Bad(
        "beir", append(TEST, "q24\t0\td1\t1"), "qrels/test.tsv:11: has 4 columns; exp"
    ),
    "a grade with a point": Bad(
        "beir", append(TEST, "q24\td1\t0.5"), f"qrels/test.tsv:11: the score is '0.5'; {GRADE}"
    ),
    "a grade with an underscore": Bad(
        "beir", append(TEST, "q24\td1\t1_0"), "qrels/test.tsv:11: the score is '1_0'"
    ),
    "no grade": Bad("beir", append(TEST, "q24\td1\t"), f"qrels/test.tsv:11: the score is ''; {GRADE}"),
    "a negative grade": Bad(
        "beir", append(TEST, "q24\td1\t-1"), f"qrels/test.tsv:11: the grade is -1; {GRADE}"
    ),
    "an unknown document": Bad(
        "beir",
        append(TEST, "q24\tx\t1"),
        "qrels/test.tsv:11: judges document 'x', which is not in the corpus",
    ),
    "an unknown query": Bad(
        "beir",
        append(TEST, "x\td1\t1"),
        "qrels/test.tsv:11: judges query 'x', which is not among the queries",
    ),
    "a judgement twice": Bad(
        "beir",
        append(TEST, "q24\td0\t1"),
        "qrels/test.tsv:11: judges document 'd0' for query 'q24' a second time",
    ),
    "a query in two splits": Bad(
        "beir",
        append(TEST, "q1\td1\t1"),
        "qrels/test.tsv:11: query 'q1' is judged in train too; expected one split",
    ),
    "a query that is a document": Bad(
        "beir",
        both(append(QUERIES, '{"_id": "d1", "text": "x"}'), append(TEST, "d1\td1\t1")),
        "qrels/test.tsv:11: judges query 'd1' itself, which collection.own_documents leaves out",
        {"own_documents": True},
    ),
    "an empty split": Bad(
        "beir",
        rewrite(TEST, lambda data: data[:25]),
        "test: has no judgements; expected some: give it a larger share",
    ),
    "nothing to train on": Bad(
        "beir",
        rewrite(TRAIN, lambda data: data.replace(b"\t1\n", b"\t0\n").replace(b"\t2\n", b"\t0\n")),
        "train: no query has a relevant document (a grade above 0); expected some",
    ),
    "no train queries": Bad(
        "beir",
        delete(TRAIN, "qrels/dev.tsv"),
        "collection.source: 'beir:.' has test queries but none of train and dev; training needs train",
    ),
    "a part of a folder": Bad(
        "beir",
        lambda folder: None,
        "collection.documents: is 10; expected null, 'beir' is read whole",
        {"documents": 10},
    ),
    "a folder that is not there": Bad(
        "beir",
        lambda folder: shutil.rmtree(folder),
        "collection.source: is 'beir:.', no such folder; expected beir:FOLDER",
    ),
    "a tab in a passage": Bad(
        "msmarco-passage",
        append("collection.tsv", "x\ta\tb"),
        "collection.tsv:13: has 3 columns; expected id, passage, with a tab between two and none within one",
    ),
    "a passage without an id": Bad(
        "msmarco-passage", append("collection.tsv", "x"), "collection.tsv:13: has 1 columns"
    ),
    "a tab in a query": Bad(
        "msmarco-passage",
        append("queries.test.tsv", "x\ta\tb"),
        "queries.test.tsv:6: has 3 columns; expected id, query, with a tab between two",
    ),
    "BEIR's judgements in MS MARCO": Bad(
        "msmarco-passage",
        append("qrels.test.tsv", "q24\td1\t1"),
        "qrels.test.tsv:10: has 3 columns; expected query, iteration, document, grade",
    ),
    "judgements without their queries": Bad(
        "msmarco-passage",
        delete("queries.train.tsv"),
        "queries.train.tsv: is missing; a folder with qrels.train.tsv has it, plain or as .gz",
    ),
    "passages without judgements": Bad(
        "msmarco-passage",
        delete("qrels.train.tsv", "qrels.dev.small.tsv", "qrels.test.tsv"),
        ".: has no judgements; expected one or more of qrels.train.tsv, qrels.dev.small.tsv, qrels.dev.tsv, ",
    ),
    "no passages": Bad(
        "msmarco-passage",
        delete("collection.tsv"),
        "collection.tsv: is missing; a folder of MS MARCO passages has it",
    ),
    "a tab in a document": Bad(
        "msmarco-doc",
        append("msmarco-docs.tsv", "x\turl\ttitle\ta\tb"),
        "msmarco-docs.tsv:13: has 5 columns; expected id, url, title, body, with a tab between two",
    ),
    "a document that is not closed": Bad(
        "trec",
        append("documents/b.txt", "<DOC>\n<DOCNO>x</DOCNO>"),
        "documents/b.txt:66: this <DOC> is not closed before the file ends; expected </DOC>",
    ),
    "a document within a document": Bad(
        "trec",
        append("documents/b.txt", "<DOC>\n<DOC>\n</DOC>"),
        "documents/b.txt:66: this <DOC> is not closed before the next one; expected </DOC>",
    ),
    "a document without a number": Bad(
        "trec",
        append("documents/b.txt", "<DOC>\nwords\n</DOC>"),
        "documents/b.txt:66: the document has no <DOCNO>; expected one",
    ),
    "words between documents": Bad(
        "trec",
        append("documents/b.txt", "words"),
        "documents/b.txt:66: is 'words'; expected <DOC>, all else stands within one",
    ),
    "Latin-1 in a document": Bad(
        "trec", append("documents/b.txt", b"<DOC>caf\xe9</DOC>"), "documents/b.txt:66: is not UTF-8 (byte 9)"
    ),
    "a topic without a title": Bad(
        "trec",
        append("topics.test.txt", "<top>\n<num> Number: 9\n</top>"),
        "topics.test.txt:61: the topic has no <title>; expected one",
    ),
    "a topic without a number": Bad(
        "trec",
        append("topics.test.txt", "<top>\n<title> words\n</top>"),
        "topics.test.txt:61: the topic has no <num>; expected one",
    ),
    "no documents": Bad(
        "trec", delete("documents"), "documents: has no files; a folder of TREC documents has its"
    ),
    "no judgements": Bad(
        "trec",
        delete("qrels.train.txt", "qrels.dev.txt", "qrels.test.txt"),
        "qrels.txt: is missing; a folder of TREC documents has it, or qrels.test.txt and so on",
    ),
    "no topics": Bad(
        "trec", delete("topics.test.txt"), "topics.test.txt: is missing; a folder of TREC documents has"
    ),
}


def read(layout: str, tmp_path: Path, edit: Edit, **settings) -> Collection:
    source = LAYOUTS[layout](tmp_path / "source")
    edit(tmp_path / "source")
    prepare(source, tmp_path / "collection", **{"documents": None, "splits": SHARES, **settings})
    return Collection(tmp_path / "collection")


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named_in_one_line_and_nothing_is_written(name, tmp_path):
    bad = BAD[name]
    with pytest.raises(PeftirError) as caught:
        read(bad.layout, tmp_path, bad.edit, **bad.settings)
    folder = str(tmp_path / "source")
    message = str(caught.value).replace(f"{folder}/", "").replace(folder, ".")
    assert message.startswith(bad.message)
    assert "\n" not in message
    assert {path.name for path in tmp_path.iterdir()} <= {"source"}


HARMLESS = {
    "a byte order mark": rewrite(CORPUS, lambda data: b"\xef\xbb\xbf" + data),
    "Windows lines": rewrite(CORPUS, lambda data: data.replace(b"\n", b"\r\n")),
    "blank lines": rewrite(CORPUS, lambda data: data.replace(b"\n", b"\n \n")),
    "no end of the last line": rewrite(CORPUS, lambda data: data.rstrip(b"\n")),
    "no header of the judgements": rewrite(TEST, lambda data: data.partition(b"\n")[2]),
    "a null for no title, and keys of one's own": rewrite(
        QUERIES, lambda data: data.replace(b'"_id"', b'"metadata": {"year": 1958}, "_id"')
    ),
    "gzip": gzipped(QUERIES, lambda data: data),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_does_no_harm_changes_nothing(name, tmp_path):
    expected = read("beir", tmp_path / "good", lambda folder: None).manifest
    assert read("beir", tmp_path / "same", HARMLESS[name]).manifest == expected


COUNTED = {
    "a document without text": (append(CORPUS, '{"_id": "x", "text": " "}'), "empty_documents", 1),
    "a query that nothing judges": (
        append(QUERIES, '{"_id": "x", "text": ""}'),
        "queries_without_judgement",
        1,
    ),
    "a document of ten megabytes": (
        append(CORPUS, '{"_id": "x", "text": "' + "lift \\n\\t" * 10**6 + '"}'),
        "documents",
        13,
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_kept_or_left_out_is_counted(name, tmp_path):
    edit, key, count = COUNTED[name]
    assert read("beir", tmp_path, edit).manifest[key] == count


def test_a_test_query_without_a_relevant_document_is_counted(tmp_path):
    edit = rewrite(TEST, lambda data: data.replace(b"q27\td3\t2", b"q27\td3\t0"))
    assert read("beir", tmp_path, edit).manifest["splits"]["test"] == {
        "queries": 5,
        "judgements": 9,
        "queries_without_relevant": 1,
    }
