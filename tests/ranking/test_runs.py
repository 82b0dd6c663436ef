"""Run files: the ranking that was meant is the ranking that trec_eval sees."""

from __future__ import annotations

import random
from pathlib import Path

import ir_measures
import numpy as np
import pytest
import pytrec_eval

from peftir.ranking.runs import Hits, Run, read_run, search_excluding_own, write_run
from peftir.system.errors import PeftirError


def order(run: Run) -> dict[str, list[str]]:
    return {query: [document for document, _ in hits] for query, hits in run.items()}


def seen_by_trec_eval(path: Path, query: str, document: str) -> int:
    """The rank at which trec_eval's code finds ``document``, going by the file's scores alone."""
    scores: dict[str, float] = {}
    for line in path.read_text().splitlines():
        fields = line.split()
        if fields[0] == query:
            scores[fields[2]] = float(fields[4])
    evaluator = pytrec_eval.RelevanceEvaluator({query: {document: 1}}, {"recip_rank"})
    return round(1 / evaluator.evaluate({query: scores})[query]["recip_rank"])


def test_file_is_as_trec_has_it(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", {"q2": [("d9", 12.5), ("d1", 0.1)], "q1": [("d1", -3.0)]}, tag="bm25")
    assert (
        tmp_path / "a.trec"
    ).read_bytes() == b"q2 Q0 d9 1 12.5 bm25\nq2 Q0 d1 2 0.1 bm25\nq1 Q0 d1 1 -3.0 bm25\n"


def test_reading_gives_back_order_and_scores(tmp_path: Path) -> None:
    generator = random.Random(7)
    run = {
        f"q{query}": sorted(
            ((f"d{document}", generator.uniform(-50, 50)) for document in range(200)), key=lambda hit: -hit[1]
        )
        for query in range(5)
    }
    write_run(tmp_path / "a.trec", run, tag="t")
    again = read_run(tmp_path / "a.trec")
    assert list(again) == list(run)
    assert order(again) == order(run)
    for query, hits in run.items():
        # To the 2^-24 of a 32-bit float, and one or two of its units lower among scores that are equal then.
        assert [score for _, score in again[query]] == pytest.approx([score for _, score in hits], rel=1e-6)


def test_writing_what_was_read_changes_no_byte(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", {"q": [("a", 1 / 3), ("b", 1 / 3), ("c", 1e-8), ("d", -2e20)]}, tag="t")
    write_run(tmp_path / "b.trec", read_run(tmp_path / "a.trec"), tag="t")
    assert (tmp_path / "a.trec").read_bytes() == (tmp_path / "b.trec").read_bytes()


@pytest.mark.parametrize(
    "scores",
    [
        [0.0] * 5,
        [22.0874] * 5,
        [22.0874003, 22.0874002, 22.0874001, 22.0874, 22.08],  # the first four are one 32-bit float
        [
            1.0,
            1.0,
            float(np.nextafter(np.float32(1), np.float32(0))),
            0.5,
            0.5,
        ],  # a nudge meets the next score
        [-1e30] * 5,
    ],
)
def test_equal_scores_keep_their_order_for_trec_eval(tmp_path: Path, scores: list[float]) -> None:
    # trec_eval puts the larger id first among equals, so it would turn this order round.
    run = {"q": list(zip("abcde", scores, strict=True))}
    write_run(tmp_path / "a.trec", run, tag="t")
    assert order(read_run(tmp_path / "a.trec")) == order(run)
    assert [seen_by_trec_eval(tmp_path / "a.trec", "q", document) for document in "abcde"] == [1, 2, 3, 4, 5]
    # Up to four units of a 32-bit float lower, each 2^-23 of the score, or 2^-149 next to zero.
    for (_, written), score in zip(read_run(tmp_path / "a.trec")["q"], scores, strict=True):
        assert written == pytest.approx(score, rel=1e-6, abs=1e-40)


def test_a_thousand_equal_scores_fall_strictly(tmp_path: Path) -> None:
    run = {"q": [(f"d{rank:04}", 7.25) for rank in range(1000)] + [("last", 7.2499999)]}
    write_run(tmp_path / "a.trec", run, tag="t")
    scores = np.array([score for _, score in read_run(tmp_path / "a.trec")["q"]], dtype=np.float32)
    assert (np.diff(scores) < 0).all()
    assert order(read_run(tmp_path / "a.trec")) == order(run)


def test_reading_orders_like_trec_eval(tmp_path: Path) -> None:
    # Another tool's file: ranks that lie, lines out of order, queries mixed, a tie.
    path = tmp_path / "other.trec"
    path.write_text("q1 Q0 a 1 1.0 x\nq2 Q0 z 9 5 x\nq1 Q0 b 2 3.0 x\nq1\tQ0\tc\t3\t1e0\tx\n")
    assert order(read_run(path)) == {"q1": ["b", "c", "a"], "q2": ["z"]}
    assert [seen_by_trec_eval(path, "q1", document) for document in "bca"] == [1, 2, 3]


def test_query_without_documents_leaves_no_line(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", {"q1": [], "q2": [("d", 1.0)]}, tag="t")
    assert read_run(tmp_path / "a.trec") == {"q2": [("d", 1.0)]}


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"q": [("a b", 1.0)]}, "'a b' cannot stand in a run file"),
        ({"q 1": [("a", 1.0)]}, "'q 1' cannot stand in a run file"),
        ({"q": [("a\n", 1.0)]}, r"'a\\n' cannot stand in a run file"),
        ({"q": [("", 1.0)]}, "'' cannot stand in a run file"),
        ({"q": [("a", 2.0), ("b", 1.5), ("a", 1.0)]}, "query q ranks the document a twice"),
        ({"q": [("a", float("nan"))]}, "query q has the score nan"),
        ({"q": [("a", 1e300)]}, r"query q has the score 1e\+300"),
        ({"q": [("a", 1.0), ("b", float("-inf"))]}, "query q has the score -inf"),
    ],
)
def test_refuses_what_a_run_file_cannot_hold(tmp_path: Path, run: Run, message: str) -> None:
    with pytest.raises(PeftirError, match=message):
        write_run(tmp_path / "a.trec", {"fine": [("d", 1.0)], **run}, tag="t")
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_run_that_is_not_best_first(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scores of query q rise"):
        write_run(tmp_path / "a.trec", {"q": [("a", 1.0), ("b", 2.0)]}, tag="t")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 d 2 0.5", r"a\.trec:2: 5 columns, expected the 6 of 'query Q0 document rank score tag'"),
        ("q Q0 d e 2 0.5 t", r"a\.trec:2: 7 columns"),
        ("", r"a\.trec:2: 0 columns"),
        ("q Q0 d 2 high t", r"a\.trec:2: the score 'high' is not a number"),
        ("q Q0 d 2 nan t", r"a\.trec:2: the score 'nan' is not a number"),
        ("q Q0 a 2 0.5 t", r"a\.trec:2: query q lists the document a again"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.trec"
    path.write_text(f"q Q0 a 1 0.9 t\n{line}\nq Q0 z 3 0.1 t\n")
    with pytest.raises(PeftirError, match=message):
        read_run(path)


def test_a_missing_and_a_binary_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match=r"none\.trec: no such run file"):
        read_run(tmp_path / "none.trec")
    (tmp_path / "binary.trec").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(PeftirError, match=r"binary\.trec: not UTF-8 text"):
        read_run(tmp_path / "binary.trec")


def test_a_query_s_own_document_is_left_out_and_the_next_one_moves_up() -> None:
    def search(depth: int) -> list[tuple[str, Hits]]:
        return [
            ("a", [("a", 3.0), ("b", 2.0), ("c", 1.0)][:depth]),
            ("q", [("b", 3.0), ("c", 2.0), ("a", 1.0)][:depth]),
        ]

    assert list(search_excluding_own(search, 2, own_documents=True)) == [
        ("a", [("b", 2.0), ("c", 1.0)]),
        ("q", [("b", 3.0), ("c", 2.0)]),
    ]
    # Ids that are equal by chance change nothing.
    assert list(search_excluding_own(search, 2, own_documents=False)) == search(2)


def test_other_tools_read_the_file_and_see_the_ranking(tmp_path: Path) -> None:
    run = {"q1": [("b", 2.0), ("a", 2.0), ("c", 1.0)], "q2": [("c", -1.5)]}
    write_run(tmp_path / "a.trec", run, tag="t")
    qrels = {"q1": {"a": 1, "c": 2}, "q2": {"c": 1}}
    with (tmp_path / "a.trec").open() as file:
        read = pytrec_eval.parse_run(file)
    by_trec_eval = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(read)
    assert {query: values["recip_rank"] for query, values in by_trec_eval.items()} == {"q1": 0.5, "q2": 1.0}
    read = ir_measures.read_trec_run(str(tmp_path / "a.trec"))
    found = ir_measures.iter_calc([ir_measures.nDCG @ 3], qrels, read)
    ideal = 2 + 1 / np.log2(3)
    assert {metric.query_id: metric.value for metric in found} == pytest.approx(
        {"q1": (1 / np.log2(3) + 2 / 2) / ideal, "q2": 1.0}
    )
