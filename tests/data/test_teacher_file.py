"""Files of a teacher's scores: three formats, and one line for what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftir.data.teacher_file import read_teacher_file
from peftir.system.errors import PeftirError

WANTED = {"q1": ["d2", "d1"], "q2": ["d1"]}
QRELS = {"q1": {"d1": 1}, "q2": {"d1": 1}}
PAIRS = [("q2", "d1", "-3"), ("q1", "d1", "1.5"), ("dev", "d1", "9"), ("q1", "d2", "2e-1"), ("q1", "d3", "7")]
LINES = {
    "scores.tsv": "{0}\t{1}\t{2}\n",
    "scores.jsonl": '{{"query-id": "{0}", "corpus-id": "{1}", "score": {2}}}\n',
    "scores.trec": "{0} Q0 {1} 1 {2} teacher\n",
}


def read(path: Path) -> dict[str, list[float]]:
    scores = read_teacher_file(path, WANTED, QRELS, "teachers.expert.depth")
    return {query: values.tolist() for query, values in scores.items()}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("header", [False, True])
def test_the_wanted_scores_are_read_in_their_order(name: str, header: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    start = "query-id\tcorpus-id\tscore\n" if header else ""
    sampled = [
        ("q3", "d1", "1"),
        ("q1", "d9", "1"),
    ]  # as with train_share and documents, not in the collection
    path.write_text(start + "".join(LINES[name].format(*pair) for pair in [*sampled, *PAIRS]))
    assert read(path) == {"q1": [0.2, 1.5], "q2": [-3.0]}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("q1", "d1", "NaN"), r":6: the score of document 'd1' is nan; expected a finite number; correct"),
        (("q1", "d1", "1"), r":6: query 'q1' has the document 'd1' again; correct"),
    ],
)
def test_a_wrong_line_is_named(name: str, pair: tuple[str, str, str], message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("".join(LINES[name].format(*each) for each in [*PAIRS, pair]))
    with pytest.raises(PeftirError, match=f"(?i)^{path}{message}"):
        read(path)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("a.tsv", "q1 d1 2", r"a\.tsv:1: is 'q1 d1 2', not a query id, a document id and a score with tabs"),
        ("a.tsv", "q1\td1\thigh", r"a\.tsv:1: is .*, not a query id"),
        ("a.jsonl", "{", r"a\.jsonl:1: is '{', not a JSON object with the keys query-id, corpus-id, score"),
        ("a.jsonl", '["q1"]', r"a\.jsonl:1: is .*, not a JSON object with the keys"),
        (
            "a.jsonl",
            '{"query-id": 1, "corpus-id": "d1", "score": 2}',
            r"a\.jsonl:1: has ids that are not text",
        ),
        (
            "a.jsonl",
            '{"query-id": "q1", "corpus-id": "d1", "score": null}',
            r"a\.jsonl:1: the score of .*None",
        ),
        ("a.txt", "q1 Q0 d1 2", r"a\.txt:1: is 'q1 Q0 d1 2', not a line of a TREC run"),
    ],
)
def test_a_line_of_another_form_is_named(name: str, line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"{line}\n")
    with pytest.raises(PeftirError, match=message):
        read(tmp_path / name)


def test_a_missing_pair_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.tsv"
    for scored, missing, remedy in (
        ("d1", "d2", r"a candidate; expected .*: add it, or lower teachers\.expert\.depth$"),
        ("d2", "d1", r"which is judged relevant; expected .*: add it$"),
    ):
        path.write_text(f"q1\t{scored}\t2\nq2\td1\t2\n")
        told = f"^{path}: has no score of the document '{missing}' for the query 'q1', {remedy}"
        with pytest.raises(PeftirError, match=told):
            read(path)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match=r"none\.tsv: is missing; correct the file, or name another"):
        read(tmp_path / "none.tsv")
