"""SMART's files in the shapes that its collections come in; numbers written out by hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from layouts import DOCUMENTS, QRELS, QUERIES, SHARES, as_smart, write
from peftir.data.check import Ruler, check
from peftir.data.collection import SPLITS, Collection
from peftir.data.prepare import prepare
from peftir.data.splits import split_of
from peftir.system.errors import PeftirError

CORPUS = """.I 1
.T
experimental investigation of the aerodynamics of a
wing in a slipstream .
.A
brenckman,m.
.B
j. ae. scs. 25, 1958, 324.
.W
  an experimental study of a wing in a propeller slipstream .
.X
1\t5\t1
.I 2
.T
Glossary of Computer Engineering and Programming Terminology
.B
CACM November, 1958
.I 3
.W
.5 inches of lift
"""
ASKED = """.I 001
.W
what lift
is there .
.I 002
.W
slipstreams
.I 004
.T
About titles
.A
somebody
"""


def collection(folder: Path, tmp_path: Path) -> Collection:
    prepare(f"smart:{folder}", tmp_path / "collection", documents=None, splits=SHARES, folds=3)
    return Collection(tmp_path / "collection")


def smart(folder: Path, judgements: str, names: tuple[str, str, str]) -> Path:
    for name, text in zip(names, (CORPUS, ASKED, judgements), strict=True):
        write(folder / name, text)
    return folder


CRANFIELD = ("cran.all.1400", "cran.qry", "cranqrel")


def test_marks_say_what_is_title_and_text_and_the_rest_is_left_out(tmp_path: Path) -> None:
    found = collection(smart(tmp_path / "cran", "1 1 1\n2 1 2\n3 2 4\n", CRANFIELD), tmp_path)
    assert list(found.texts()) == [
        (
            "1",
            "experimental investigation of the aerodynamics of a wing in a slipstream . "
            "an experimental study of a wing in a propeller slipstream .",
        ),
        ("2", "Glossary of Computer Engineering and Programming Terminology"),
        ("3", ".5 inches of lift"),
    ]


def test_cranfields_judgements_call_a_query_by_its_place(tmp_path: Path) -> None:
    write(tmp_path / "cran" / "cranqrel.readme", "not read")
    found = collection(smart(tmp_path / "cran", "1 1 2\n1 2 3\n2 1 -1\n2 3 1\n3 2 4\n", CRANFIELD), tmp_path)
    assert found.queries("test") == {"1": "what lift is there .", "2": "slipstreams", "3": "About titles"}
    # A code says how relevant, and not with the same sign everywhere: all above 0 are relevant.
    assert found.qrels("test") == {"1": {"1": 1, "2": 1}, "2": {"1": 0, "3": 1}, "3": {"2": 1}}
    assert found.manifest["origin"]["queries_judged_by"] == "place"


@pytest.mark.parametrize(
    ("judgements", "names"),
    [
        ("01 0001  0 0\n02 0003  0 0\n04 0002  0 0\n", ("cacm.all", "query.text", "qrels.text")),
        ("     1      1\t0\t0.000000\n 2 3\t0\t0.0\n 4 2\t0\t0.0\n", ("CISI.ALL", "CISI.QRY", "CISI.REL")),
        ("1 0 1 1\n2 0 3 1\n4 0 2 1\n", ("MED.ALL", "MED.QRY", "MED.REL")),
        ("1 1 1\n2 3 1\n4 2 1\n", ("x.all", "x.que", "x.qrel")),
    ],
)
def test_judgements_of_all_forms_call_a_query_by_its_id(
    judgements: str, names: tuple[str, str, str], tmp_path: Path
) -> None:
    found = collection(smart(tmp_path / "source", judgements, names), tmp_path)
    assert found.qrels("test") == {"1": {"1": 1}, "2": {"3": 1}, "4": {"2": 1}}
    assert found.queries("test").keys() == {"1", "2", "4"}
    assert found.manifest["origin"]["queries_judged_by"] == "id"


def test_it_is_the_collection_of_the_other_layouts_with_splits_by_hash(tmp_path: Path) -> None:
    source = as_smart(tmp_path / "source")
    for path in list((tmp_path / "source").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(
            gzip.compress(path.read_bytes().replace(b"\n", b"\r\n"))
        )
        path.unlink()
    prepare(source, tmp_path / "collection", documents=None, splits=SHARES)
    found = Collection(tmp_path / "collection")
    assert dict(found.texts()) == {id: f"{title} {text}" for id, title, text in DOCUMENTS}
    queries = {id: text for split in SPLITS for id, text in QUERIES[split].items()}
    grades = {id: judged for split in SPLITS for id, judged in QRELS[split].items()}
    for split in SPLITS:
        ids = {query for query in queries if split_of(query, SHARES) == split}
        assert found.queries(split) == {id: queries[id] for id in queries if id in ids}
        assert found.qrels(split) == {
            id: dict.fromkeys(judged, 1) for id, judged in grades.items() if id in ids
        }


def test_check_counts_titles_without_text(tmp_path: Path) -> None:
    folder = smart(tmp_path / "cran", "1 1 1\n2 1 2\n3 2 4\n", CRANFIELD)
    rulers = dict.fromkeys(("document", "query"), Ruler(lambda texts: [len(text) for text in texts], 9))
    findings = check(f"smart:{folder}", splits=SHARES, own_documents=False, folds=3, rulers=rulers)
    assert (findings.documents, findings.titles_alone, findings.empty_documents) == (3, 1, 0)
    assert findings.problems == []


def test_a_file_too_many_or_too_few_is_named(tmp_path: Path) -> None:
    folder = smart(tmp_path / "cran", "1 1 1\n", CRANFIELD)
    write(folder / "other.qry", "")
    with pytest.raises(PeftirError, match=r"has cran.qry, other.qry of \*.qry, \*.que or query.text"):
        collection(folder, tmp_path)
    (folder / "cranqrel").unlink()
    (folder / "other.qry").unlink()
    with pytest.raises(PeftirError, match=r"has none of qrels.text, \*.rel or \*qrel, plain or as .gz"):
        collection(folder, tmp_path)
