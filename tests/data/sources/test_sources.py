"""One small collection in every layout that is read: what comes out is the same."""

import gzip
import shutil

import pytest

from layouts import (
    DOCUMENTS,
    LAYOUTS,
    QRELS,
    QUERIES,
    SHARES,
    as_ir_datasets,
    as_passages_of_msmarco,
    as_trec,
    write,
)
from peftir.data.check import Ruler, as_text, check
from peftir.data.collection import SPLITS, Collection
from peftir.data.hashing import point
from peftir.data.prepare import prepare
from peftir.data.splits import split_of
from peftir.system.errors import PeftirError


def read(source, folder):
    prepare(source, folder, documents=None, splits=SHARES)
    return Collection(folder)


def everything(collection):
    """All that a collection holds, in an order of its own: sources differ in theirs."""
    return (
        sorted(collection.texts()),
        {split: sorted(collection.queries(split).items()) for split in SPLITS},
        {split: collection.qrels(split) for split in SPLITS},
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_collection(layout, tmp_path):
    texts, queries, qrels = everything(read(LAYOUTS[layout](tmp_path / "source"), tmp_path / "collection"))
    assert texts == sorted((id, f"{title} {text}") for id, title, text in DOCUMENTS)
    assert queries == {split: sorted(QUERIES[split].items()) for split in SPLITS}
    assert qrels == QRELS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_share_of_train_is_held_out_where_there_is_no_dev(layout, tmp_path):
    collection = read(LAYOUTS[layout](tmp_path / "source", ("train", "test")), tmp_path / "collection")
    held_out = {query for query in QUERIES["train"] if point(f"dev {query}") < 0.2 / 0.8}
    assert 1 < len(held_out) < 10
    assert set(collection.qrels("dev")) == set(collection.queries("dev")) == held_out
    assert set(collection.qrels("train")) == QUERIES["train"].keys() - held_out
    assert collection.qrels("test") == QRELS["test"]


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "beir"])
def test_dev_is_the_test_where_there_is_none(layout, tmp_path):
    collection = read(LAYOUTS[layout](tmp_path / "source", ("train", "dev")), tmp_path / "collection")
    assert collection.qrels("test") == QRELS["dev"]
    assert collection.qrels("train").keys() | collection.qrels("dev").keys() == QUERIES["train"].keys()
    assert collection.qrels("dev")


@pytest.mark.parametrize("layout", ["beir", "msmarco-doc", "msmarco-passage", "trec"])
def test_gzipped_files_windows_lines_and_a_byte_order_mark_change_nothing(layout, tmp_path):
    source = LAYOUTS[layout](tmp_path / "source")
    plain = read(source, tmp_path / "plain").manifest
    for path in [path for path in (tmp_path / "source").rglob("*") if path.is_file()]:
        data = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n")
        (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(data))
        path.unlink()
    assert read(source, tmp_path / "gzipped").manifest | {"files": plain["files"]} == plain


def test_trec_judgements_without_splits_are_spread_over_them(tmp_path):
    source = as_trec(tmp_path / "source")
    topics, qrels = (
        "".join((tmp_path / "source" / f"{kind}.{split}.txt").read_text() for split in SPLITS)
        for kind in ("topics", "qrels")
    )
    shutil.rmtree(tmp_path / "source")
    as_trec(tmp_path / "source", ())
    write(tmp_path / "source" / "topics.txt", topics)
    write(tmp_path / "source" / "qrels.txt", qrels)
    collection = read(source, tmp_path / "collection")
    for split in SPLITS:
        ids = {query for texts in QUERIES.values() for query in texts if split_of(query, SHARES) == split}
        assert set(collection.qrels(split)) == set(collection.queries(split)) == ids


def test_trec_documents_in_other_shapes(tmp_path):
    source = as_trec(tmp_path / "source")
    write(
        tmp_path / "source" / "documents" / "z.txt",
        "<doc><docno>e1</docno>All on <b>one</b> line.</doc>\n"
        "<DOC>\n<DOCNO>e2</DOCNO>\n<TITLE>Its title</TITLE>\nNo text\nelement.\n</DOC>\n"
        "<DOC>\n<DOCNO>e3</DOCNO>\n<LP>The lead.</LP>\n<TEXT>1 &lt; 2</TEXT>\n<TEXT>More.</TEXT>\n</DOC>\n",
    )
    texts = dict(read(source, tmp_path / "collection").texts())
    assert [texts[id] for id in ("e1", "e2", "e3")] == [
        "All on one line.",
        "Its title No text element.",
        "The lead. 1 < 2 More.",
    ]


def test_msmarco_takes_the_small_dev_set_and_counts_queries_without_judgements(tmp_path):
    source = as_passages_of_msmarco(tmp_path / "source")
    write(tmp_path / "source" / "qrels.dev.tsv", "q20\t0\td1\t1\n")
    write(tmp_path / "source" / "queries.dev.tsv", "q20\tnot read\n")
    with (tmp_path / "source" / "queries.train.tsv").open("a") as file:
        file.write("q999\tnobody judged this\n")
    collection = read(source, tmp_path / "collection")
    assert collection.qrels("dev") == QRELS["dev"]
    assert collection.manifest["queries_without_judgement"] == 1
    assert collection.manifest["origin"] == {"source": "msmarco-passage", "folder": "source", "not_read": []}


def test_msmarco_says_that_it_does_not_read_triples_and_top_documents(tmp_path):
    source = as_passages_of_msmarco(tmp_path / "source")
    plain = read(source, tmp_path / "plain")
    names = ["qidpidtriples.train.full.2.tsv.gz", "top1000.dev.tsv"]
    for name in names:
        (tmp_path / "source" / name).write_bytes(b"not even text: \xff")
    collection = read(source, tmp_path / "collection")
    assert collection.manifest["origin"]["not_read"] == names
    assert collection.qrels("train") == plain.qrels("train")
    rulers = dict.fromkeys(("document", "query"), Ruler(lambda texts: [len(text) for text in texts], 9))
    findings = check(source, splits=SHARES, own_documents=False, folds=None, rulers=rulers)
    assert findings.problems == []
    assert f"not read   {', '.join(names)}: negatives and candidates are of" in as_text(findings)


def test_what_ir_datasets_cannot_give_is_named(tmp_path):
    source = as_ir_datasets(tmp_path / "source")
    with pytest.raises(PeftirError, match=r"is 'ir_datasets:no/such', no id of ir_datasets"):
        read("ir_datasets:no/such", tmp_path / "collection")
    (tmp_path / "source" / "docs.tsv").unlink()
    with pytest.raises(
        PeftirError, match=r"its documents could not be had \(FileNotFoundError: .*docs.tsv\)"
    ):
        read(source, tmp_path / "collection")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
