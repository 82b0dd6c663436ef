"""Measures against answers worked out by hand, and against trec_eval's own code on a written run."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pandas as pd
import pytest
import pytrec_eval

from peftir.ranking.measures import evaluate, mean_of, parse_measure
from peftir.ranking.runs import Run, write_run
from peftir.system.errors import PeftirError

QRELS = {
    "graded": {"a": 2, "b": 1, "n": 0, "lost": 1},
    "eleventh": {"d10": 1},
    "missing": {"z": 1},
    "irrelevant": {"y": 0},
}
RUN: Run = {
    "unjudged": [("a", 3.0)],
    "graded": [("n", 9.0), ("a", 8.0), ("extra", 7.0), ("b", 6.0)],
    "eleventh": [(f"d{rank}", -float(rank)) for rank in range(12)],
    "irrelevant": [("y", 1.0)],
}
IDEAL = 2 + 1 / math.log2(3) + 1 / math.log2(4)
HAND = {
    "RR@10": {"graded": 1 / 2, "eleventh": 0, "missing": 0, "irrelevant": 0},
    "RR@100": {"graded": 1 / 2, "eleventh": 1 / 11, "missing": 0, "irrelevant": 0},
    "RR(rel=2)@10": {"graded": 1 / 2, "eleventh": 0, "missing": 0, "irrelevant": 0},
    "nDCG@10": {
        "graded": (2 / math.log2(3) + 1 / math.log2(5)) / IDEAL,
        "eleventh": 0,
        "missing": 0,
        "irrelevant": 0,
    },
    "nDCG@100": {
        "graded": (2 / math.log2(3) + 1 / math.log2(5)) / IDEAL,
        "eleventh": 1 / math.log2(12),
        "missing": 0,
        "irrelevant": 0,
    },
    "R@3": {"graded": 1 / 3, "eleventh": 0, "missing": 0, "irrelevant": 0},
    "R@1000": {"graded": 2 / 3, "eleventh": 1, "missing": 0, "irrelevant": 0},
    "AP": {"graded": (1 / 2 + 2 / 4) / 3, "eleventh": 1 / 11, "missing": 0, "irrelevant": 0},
}


@pytest.mark.parametrize("measure", HAND)
def test_values_are_those_worked_out_by_hand(measure: str) -> None:
    values = evaluate(RUN, QRELS, [measure]).set_index("query")["value"].to_dict()
    assert values == pytest.approx(HAND[measure])
    assert mean_of(RUN, QRELS, measure) == pytest.approx(sum(HAND[measure].values()) / 4)


def test_table_has_measures_as_named_and_queries_sorted() -> None:
    table = evaluate(RUN, QRELS, ["RR@100", "MRR@100", "R@3"])
    assert list(table.columns) == ["query", "measure", "value"]
    assert table["query"].tolist() == sorted(QRELS) * 3
    assert table["measure"].tolist() == ["RR@100"] * 4 + ["MRR@100"] * 4 + ["R@3"] * 4


def test_order_of_queries_and_unjudged_ones_do_not_count() -> None:
    turned = {query: RUN[query] for query in reversed(RUN) if query != "unjudged"}
    grades = {query: QRELS[query] for query in reversed(QRELS)}
    pd.testing.assert_frame_equal(evaluate(turned, grades, list(HAND)), evaluate(RUN, QRELS, list(HAND)))


def test_the_order_counts_where_scores_are_equal() -> None:
    # trec_eval would put z first; here, as in the file that write_run makes, the list does.
    tied: Run = {"q": [("a", 1.0), ("z", 1.0)]}
    assert mean_of(tied, {"q": {"a": 1}}, "RR@10") == 1
    assert mean_of(tied, {"q": {"z": 1}}, "RR@10") == 1 / 2
    assert mean_of(tied, {"q": {"z": 1}}, "RR") == 1 / 2


def test_agrees_with_trec_eval_on_the_written_run(tmp_path: Path) -> None:
    generator = random.Random(3)
    qrels = {
        f"q{q}": {f"d{generator.randrange(60)}": generator.randrange(3) for _ in range(8)} for q in range(20)
    }
    run: Run = {}
    for query in list(qrels)[:-2]:
        documents = generator.sample([f"d{d}" for d in range(60)], 40)
        # Few different scores, so many ties.
        run[query] = list(
            zip(documents, sorted((generator.randrange(6) for _ in documents), reverse=True), strict=True)
        )
    write_run(tmp_path / "a.trec", run, tag="t")
    scores: dict[str, dict[str, float]] = {}
    for line in (tmp_path / "a.trec").read_text().splitlines():
        query, _, document, _, score, _ = line.split()
        scores.setdefault(query, {})[document] = float(score)
    names = {"nDCG@10": "ndcg_cut_10", "R@15": "recall_15", "AP": "map", "RR": "recip_rank", "P@5": "P_5"}
    expected = pytrec_eval.RelevanceEvaluator(qrels, set(names.values())).evaluate(scores)
    for line in evaluate(run, qrels, list(names)).itertuples():
        value = expected[line.query][names[line.measure]] if line.query in expected else 0.0
        assert line.value == pytest.approx(value, abs=1e-12), (line.query, line.measure)


def test_reciprocal_rank_with_a_cutoff_is_that_of_trec_eval_or_zero() -> None:
    generator = random.Random(4)
    for _ in range(50):
        documents = [(f"d{d}", 0.0) for d in generator.sample(range(30), 20)]
        qrels = {"q": {f"d{generator.randrange(30)}": 1 for _ in range(2)}}
        whole = mean_of({"q": documents}, qrels, "RR")
        assert mean_of({"q": documents}, qrels, "RR@10") == (whole if whole >= 1 / 10 else 0)


@pytest.mark.parametrize(
    "name",
    ["", "MRR10", "RR@ten", "RR@0", "R@-5", "R", "RR@10 R@10", "RR(depth=3)", "__import__('os').getcwd()"],
)
def test_an_unknown_measure_is_named(name: str) -> None:
    with pytest.raises(PeftirError, match="expected one like RR@10, nDCG@10, R@1000 or AP") as error:
        parse_measure(name)
    assert repr(name) in str(error.value)


def test_nothing_judged_is_an_error() -> None:
    with pytest.raises(PeftirError, match="no query is judged"):
        mean_of(RUN, {}, "RR@10")
