"""Candidates in four bytes each are those that `read_run` gives, whatever the file looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from peftir.ranking import candidates
from peftir.ranking.candidates import Candidates, read_candidates
from peftir.ranking.runs import Run, read_run, write_run
from peftir.system.errors import PeftirError

QUERIES = {"q3", "q1", "q6", "missing"}


def random_run() -> Run:
    random = np.random.default_rng(3)
    documents = [f"é{i}" for i in range(40)]
    return {
        f"q{query}": [
            (str(document), -float(rank))
            for rank, document in enumerate(random.permutation(documents)[: random.integers(1, 30)])
        ]
        for query in random.permutation(9).tolist()
    }


def by_id(found: Candidates) -> dict[str, list[str]]:
    ids = found.documents.to_pylist()
    return {query: [ids[number] for number in found.of(query)] for query in found.spans}


@pytest.mark.parametrize(
    "order", ["as written", "lines shuffled", "a query in two places", "equal scores", "tabs"]
)
@pytest.mark.parametrize("block", [200, 10_000_000])
def test_candidates_are_the_first_of_the_run_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, block: int
) -> None:
    monkeypatch.setattr(candidates, "BLOCK", block)
    path = tmp_path / "train.trec"
    write_run(path, random_run(), tag="bm25")
    lines = path.read_text().splitlines(keepends=True)
    if order == "lines shuffled":
        lines = np.random.default_rng(1).permutation(lines).tolist()
    elif order == "a query in two places":
        lines = [*lines[1:], lines[0]]
    elif order == "equal scores":
        lines = [f"{' '.join(line.split()[:4])} 1.5 bm25\n" for line in lines]
    elif order == "tabs":
        lines = [line.replace(" ", "\t") for line in lines]
    path.write_text("".join(lines))

    found, run = read_candidates(path, QUERIES, 5), read_run(path, QUERIES)
    expected = {query: [document for document, _ in hits[:5]] for query, hits in run.items()}
    assert by_id(found) == expected and list(found.spans) == list(expected)
    assert found.documents.to_pylist() == list(dict.fromkeys(d for hits in expected.values() for d in hits))
    assert found.of("missing").tolist() == []
    assert found.numbers.dtype == np.int32 and not found.scores.size

    scored = read_candidates(path, QUERIES, None, scored=True)
    assert by_id(scored) == {query: [document for document, _ in hits] for query, hits in run.items()}
    for query, hits in run.items():
        assert scored.scores_of(query).tolist() == [score for _, score in hits]


def test_an_empty_run_has_no_candidates(tmp_path: Path) -> None:
    (tmp_path / "train.trec").write_text("")
    found = read_candidates(tmp_path / "train.trec", QUERIES, 5)
    assert (found.documents.to_pylist(), found.of("q1").tolist()) == ([], [])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 d9 3 bm25", r"train.trec:3: 5 columns, expected the 6"),
        ("", r"train.trec:3: 0 columns"),
        ("q1 Q0 d9 3 high bm25", r"train.trec:3: the score 'high' is not a number"),
        ("q1 Q0 d9 3 nan bm25", r"train.trec:3: the score 'nan' is not a number"),
        ("q1 Q0 d1 3 0.5 bm25", r"train.trec:3: query q1 lists the document d1 again"),
    ],
)
def test_a_bad_line_is_named_as_read_run_names_it(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "train.trec"
    path.write_text(f"q1 Q0 d1 1 2.0 bm25\nq1 Q0 d2 2 1.0 bm25\n{line}\nq2 Q0 d1 1 2.0 bm25\n")
    with pytest.raises(PeftirError, match=message):
        read_candidates(path, {"q1"}, 5)


def test_a_missing_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match=r"train.trec: no such run file; make it first"):
        read_candidates(tmp_path / "train.trec", {"q1"}, 5)
