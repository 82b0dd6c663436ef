"""What is wrong with a source ends in one line that names the place and leaves nothing, or is repaired."""

import gzip
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from layouts import LAYOUTS, SHARES, as_smart
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
SOUND = "expected no control character and no half of a surrogate pair"
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
    "an id with half a character": Bad(
        "beir",
        append(CORPUS, '{"_id": "d\\ud83d", "text": ""}'),
        rf"corpus.jsonl:13: the id is 'd\ud83d'; {SOUND}",
    ),
    "an id with a NUL": Bad(
        "beir",
        append(CORPUS, '{"_id": "d\\u00001", "text": ""}'),
        rf"corpus.jsonl:13: the id is 'd\x001'; {SOUND}",
    ),
    "an id with a terminal's command": Bad(
        "beir", append(CORPUS, '{"_id": "\\u001b[1m", "text": ""}'), r"corpus.jsonl:13: the id is '\x1b[1m'; "
    ),
    "an id with a space of another kind": Bad(
        "beir",
        append(CORPUS, '{"_id": "d\\u00a01", "text": ""}'),
        rf"corpus.jsonl:13: the id is 'd\xa01'; {ONE_WORD}",
    ),
    "an id of 40,000 characters": Bad(
        "beir",
        append(CORPUS, '{"_id": "' + "é" * 20_000 + '", "text": ""}'),
        f"corpus.jsonl:13: the id is '{'é' * 80}'… and 40,000 bytes long; expected 32,766 at most",
    ),
    "an id twice that is long": Bad(
        "beir",
        append(CORPUS, '{"_id": "' + "x" * 99 + '", "text": ""}\n{"_id": "' + "x" * 99 + '", "text": ""}'),
        f"corpus.jsonl:14: has the id '{'x' * 80}'… of corpus.jsonl:13; ids must differ",
    ),
    "an id that is true": Bad(
        "beir",
        append(CORPUS, '{"_id": true, "text": ""}'),
        'corpus.jsonl:13: "_id" is true; expected text in',
    ),
    "a document that Lucene does not take": Bad(
        "beir",
        append(CORPUS, '{"_id": "x", "text": "' + "a " * 10_000_001 + '"}'),
        "corpus.jsonl:13: the document has 20,000,001 characters; expected 20,000,000 at most: divide it",
    ),
    "a document of emoji that Lucene does not take": Bad(
        "beir",
        append(CORPUS, '{"_id": "x", "text": "' + "😀" * 10_000_001 + '"}'),
        "corpus.jsonl:13: the document has 10,000,001 characters; expected 20,000,000 at most: divide it",
    ),
    "a title that is half a character": Bad(
        "beir",
        append(CORPUS, '{"_id": "x", "title": "\\udc00", "text": ""}'),
        "corpus.jsonl:13: character 0 of a text is half",
    ),
    "a number that Python does not read": Bad(
        "beir",
        append(CORPUS, '{"_id": "x", "n": ' + "9" * 5000 + "}"),
        "corpus.jsonl:13: is not JSON (Exceeds",
    ),
    "a list of objects": Bad(
        "beir", rewrite(CORPUS, lambda data: b"[\n" + data), "corpus.jsonl:1: is not JSON (Expecting value"
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
    "a query with half a character in its id": Bad(
        "beir",
        append(QUERIES, '{"_id": "\\ud83d", "text": "x"}'),
        rf"queries.jsonl:30: the id is '\ud83d'; {SOUND}",
    ),
    "a query with a NUL in its id": Bad(
        "beir",
        append(QUERIES, '{"_id": "q\\u0000", "text": "x"}'),
        rf"queries.jsonl:30: the id is 'q\x00'; {SOUND}",
    ),
    "a query with half a character": Bad(
        "beir",
        both(append(QUERIES, '{"_id": "x", "text": "\\ud83d"}'), append(TEST, "x\td1\t1")),
        "queries.jsonl:30: character 0 of a text is half a surrogate pair",
    ),
    "a query without text key": Bad(
        "beir",
        append(QUERIES, '{"_id": "x"}'),
        'queries.jsonl:30: "text" is missing; expected text in quotes',
    ),
    "judgements that are not UTF-8": Bad(
        "beir",
        append(TEST, b"q24\td\xe9\t1"),
        "qrels/test.tsv:11: is not UTF-8 (byte 6); save the file as UTF-8",
    ),
    "a judged document with a NUL": Bad(
        "beir",
        append(TEST, "q24\td1\0\t1"),
        r"qrels/test.tsv:11: judges document 'd1\x00', which is not in the corpus",
    ),
    "a grade beyond 64 bits": Bad(
        "beir",
        append(TEST, "q24\td1\t18446744073709551616"),
        "qrels/test.tsv:11: the score is '18446744073709551616'",
    ),
    "a grade of 5,000 digits": Bad(
        "beir",
        append(TEST, "q24\td1\t" + "9" * 5000),
        f"qrels/test.tsv:11: the score is '{'9' * 39}; {GRADE}",
    ),
    "a grade that trec_eval would count up to": Bad(
        "beir",
        append(TEST, "q24\td1\t1000001"),
        f"qrels/test.tsv:11: the grade is 1000001; {GRADE} to 1,000,000",
    ),
    "a grade in other digits": Bad(
        "beir", append(TEST, "q24\td1\t\u0663"), f"qrels/test.tsv:11: the score is '\u0663'; {GRADE}"
    ),
    "a header in the middle": Bad(
        "beir", append(TEST, "query-id\tcorpus-id\tscore"), "qrels/test.tsv:11: the score is 'score'"
    ),
    "a folder in a file's place": Bad(
        "beir",
        both(delete(CORPUS), lambda folder: (folder / CORPUS).mkdir()),
        "corpus.jsonl: is missing; a BEIR folder has it",
    ),
    "a source of no name": Bad(
        "beir",
        lambda folder: None,
        "collection.source: 'bier:.' is unknown; expected one of",
        {"source": "bier:."},
    ),
    "a source without a place": Bad(
        "beir",
        lambda folder: None,
        "collection.source: is 'beir:', no such folder; expected beir:FOLDER",
        {"source": "beir:"},
    ),
    "an id of ir_datasets that is none": Bad(
        "beir",
        lambda folder: None,
        "collection.source: is 'ir_datasets:no-such', no id of ir_datasets",
        {"source": "ir_datasets:no-such"},
    ),
    "more folds than queries": Bad(
        "beir",
        lambda folder: None,
        "collection.folds: 30: the source has 29 judged queries; expected as many as folds at least",
        {"folds": 30},
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
    "judgements in three columns": Bad(
        "trec",
        append("qrels.test.txt", "q24 d1 1"),
        "qrels.test.txt:10: has 3 columns; expected query, iteration",
    ),
    "a topic that is not closed": Bad(
        "trec",
        append("topics.test.txt", "<top>\n<num> 9\n<title> words"),
        "topics.test.txt:61: this <top> is not closed before the file ends; expected </top>",
    ),
    "a number of two words": Bad(
        "trec",
        append("documents/b.txt", "<DOC><DOCNO>a b</DOCNO></DOC>"),
        f"documents/b.txt:66: the id is 'a b'; {ONE_WORD}",
    ),
    "text before SMART's first record": Bad(
        "smart",
        rewrite("wing.all", lambda data: b"words\n" + data),
        "wing.all:1: is 'words'; expected .I and an id",
    ),
    "a SMART record without an id": Bad(
        "smart", append("wing.all", ".I\n.W\nwords"), "wing.all:85: is '.I' alone; expected an id after it"
    ),
    "a SMART id of two words": Bad(
        "smart", append("wing.all", ".I a b\n.W\nwords"), f"wing.all:85: the id is 'a b'; {ONE_WORD}"
    ),
    "SMART's judgements in two columns": Bad(
        "smart", append("wing.rel", "q24 d1"), "wing.rel:56: has 2 columns; expected query, document, code"
    ),
    "a SMART code that is a word": Bad(
        "smart", append("wing.rel", "q24 d1 yes"), "wing.rel:56: the code is 'yes'; expected a whole number"
    ),
    "no SMART queries": Bad(
        "smart",
        delete("wing.qry"),
        ".: has none of *.qry, *.que or query.text, plain or as .gz; expected one",
    ),
    "a file's name that is not UTF-8": Bad(
        "texts",
        lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("words"),
        r"caf\udce9.txt: the file's name is not UTF-8, and so no id; rename it",
    ),
    "a text file in Latin-1": Bad(
        "texts",
        lambda folder: (folder / "c.txt").write_bytes(b"a\ncaf\xe9"),
        "c.txt:2: is not UTF-8; save the file as UTF-8",
    ),
    "texts of which none has a query": Bad(
        "texts", delete("a.md", "b.txt"), ".: no text has a title or a first sentence that could be its query"
    ),
    "texts in a file of another kind": Bad(
        "texts",
        lambda folder: None,
        "collection.source: is 'texts:a.md'; expected texts:FOLDER, of text, Markdown and HTML files (.txt, "
        ".md, .markdown, .html, .htm), or texts:FILE",
        {"source": "texts:./a.md"},
    ),
    "more texts than there are": Bad(
        "texts",
        lambda folder: None,
        "collection.documents: is 30; expected at most 2, or null for all",
        {"documents": 30},
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


def write_texts(folder: Path) -> str:
    folder.mkdir()
    (folder / "a.md").write_text("# What it is for\n\n" + "It lifts a wing and drags it. " * 9)
    (folder / "b.txt").write_text("Some words that are a sentence. " + "It drags a wing and lifts it. " * 9)
    return f"texts:{folder}"


WRITERS = {**LAYOUTS, "smart": as_smart, "texts": write_texts}


def read(layout: str, tmp_path: Path, edit: Edit, **settings) -> Collection:
    source = WRITERS[layout](tmp_path / "source")
    edit(tmp_path / "source")
    if "source" in settings:  # with a dot for the folder
        source = str(settings.pop("source")).replace(":.", f":{tmp_path / 'source'}")
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
    same = read("beir", tmp_path / "same", HARMLESS[name]).manifest
    assert same | {"files": expected["files"]} == expected
    assert same["files"] != expected["files"]


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
