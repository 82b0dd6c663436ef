"""Which candidates are left out as likely relevant, by numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from peftir.ranking.candidates import Candidates
from peftir.system.errors import PeftirError
from peftir.training.examples import Sampler
from peftir.training.selection import NegativeSelection, scores_of

# a and d are relevant; the scores are exact in float32.
RUN = {"q": [("a", 8.0), ("b", 7.75), ("c", 6.0), ("d", 4.0), ("e", 3.5), ("f", -1.0)]}
BELOW_ZERO = {"q": [("b", -1.5), ("a", -2.0), ("c", -2.5), ("d", -2.75), ("e", -4.0)]}


def left_out(positive: str, run: Any = RUN, **selection: Any) -> set[str]:
    candidates = Candidates.of_run(run, None, scored=True)
    ids = candidates.documents.to_pylist()
    known = [ids.index("a"), ids.index("d")]
    found = NegativeSelection(**selection).left_out(candidates, "q", known, ids.index(positive))
    return {ids[number] for number in found}


@pytest.mark.parametrize(
    ("positive", "selection", "expected"),
    [
        ("a", {}, set()),
        ("a", {"max_score_ratio": 0.96875}, {"b"}),  # from 7.75 on
        ("a", {"max_score_ratio": 0.75}, {"b", "c"}),  # from 6 on
        ("d", {"max_score_ratio": 0.9375}, {"b", "c"}),  # from 3.75 on
        ("a", {"min_score_margin": 0.25}, {"b"}),
        ("a", {"min_score_margin": 0.125}, set()),
        ("a", {"min_score_margin": 4.5}, {"b", "c", "e"}),
        ("a", {"min_score_margin": 2.0, "max_score_ratio": 0.96875}, {"b", "c"}),  # the stricter of both
        ("a", {"skip": 1}, {"b"}),  # relevant documents do not count
        ("a", {"skip": 3}, {"b", "c", "e"}),
        ("d", {"skip": 1, "max_score_ratio": 0.75}, {"b", "c", "e"}),
    ],
)
def test_documents_close_to_the_examples_relevant_one_are_left_out(
    positive: str, selection: dict[str, Any], expected: set[str]
) -> None:
    assert left_out(positive, **selection) == expected


def test_a_ratio_of_a_score_below_zero_is_still_below_it() -> None:
    # From -2 - 0.25 · 2 = -2.5 on.
    assert left_out("a", BELOW_ZERO, max_score_ratio=0.75) == {"b", "c"}


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_out_does_not_fill_up_a_short_list_either(seed: int) -> None:
    run = RUN | {"r": [("g", 9.0), ("b", 1.0), ("c", 0.5)]}
    sampler = Sampler(
        {"q": {"a": 1, "d": 1}, "r": {"g": 1}},
        Candidates.of_run(run, None, scored=True),
        negatives=3,
        key="reranker.negatives",
        own_documents=False,
        selection=NegativeSelection(max_score_ratio=0.9375),
    )
    ids = sampler.documents.to_pylist()
    [batch] = sampler.draw(1, 40, seed)
    for example in (example for example in batch if example.query == "q"):
        # From 7.5 on beside a, which leaves three; from 3.75 on beside d, which leaves two: g is the third.
        expected = {"c", "e", "f"} if ids[example.positive] == "a" else {"e", "f", "g"}
        assert {ids[number] for number in example.negatives} == expected
    assert {ids[example.positive] for example in batch} == {"a", "d", "g"}


def test_a_relevant_document_without_a_score_is_one_line() -> None:
    candidates = Candidates.of_run(RUN, None, scored=True)
    assert scores_of(candidates, "q", (3, 0)) == [4.0, 8.0]
    with pytest.raises(PeftirError, match=r"^negatives_from: the ranking of query 'q' lacks a document"):
        scores_of(candidates, "q", (0, 6))
