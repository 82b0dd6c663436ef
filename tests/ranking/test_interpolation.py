"""Ordering candidates by two scores, with answers worked out by hand."""

from __future__ import annotations

import pytest

from peftir.ranking.interpolation import choose_weight, interpolate, rerank

FIRST = {"q": [("a", 10.0), ("b", 8.0), ("c", 6.0), ("d", 1.0)]}
SECOND = {"q": [("a", -1.0), ("b", 3.0), ("c", 1.0)]}  # d was not scored


def test_alone_the_scored_ones_come_first_and_the_rest_keep_their_order() -> None:
    assert [doc for doc, _ in rerank(FIRST, SECOND)["q"]] == ["b", "c", "a", "d"]
    scores = [score for _, score in rerank(FIRST, SECOND)["q"]]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4


def test_interpolated_scores_are_scaled_per_query() -> None:
    # First stage over a, b, c: 1, .5, 0. Re-ranker: 0, 1, .5. Half of each: .5, .75, .25.
    mixed = dict(interpolate(FIRST, SECOND, 0.5)["q"])
    assert mixed["a"] == pytest.approx(0.5)
    assert mixed["b"] == pytest.approx(0.75)
    assert mixed["c"] == pytest.approx(0.25)
    assert mixed["d"] < 0.25


def test_the_ends_of_the_weight_are_either_order_alone() -> None:
    assert [doc for doc, _ in interpolate(FIRST, SECOND, 0.0)["q"]] == ["a", "b", "c", "d"]
    assert [doc for doc, _ in interpolate(FIRST, SECOND, 1.0)["q"]] == ["b", "c", "a", "d"]


def test_the_weight_is_chosen_by_the_measure_on_dev() -> None:
    # b is relevant; it leads as soon as w + (1 - w) / 2 > 1 - w, that is above 1/3.
    weight, tried = choose_weight(FIRST, SECOND, {"q": {"b": 1}}, "RR@10")
    assert weight > 1 / 3
    assert tried[0.0] == 0.5
    assert all(value == (1.0 if w > 1 / 3 else 0.5) for w, value in tried.items())
    weight, _ = choose_weight(FIRST, SECOND, {"q": {"a": 1}}, "RR@10")
    assert weight < 1 / 3


def test_queries_without_candidates_and_with_equal_scores() -> None:
    assert interpolate({"q": []}, {"q": []}, 0.5) == {"q": []}
    level = {"q": [("a", 2.0), ("b", 2.0)]}
    assert [doc for doc, _ in interpolate(level, level, 0.5)["q"]] == ["b", "a"]


def test_a_re_ranker_that_gives_all_one_score_does_not_pass_for_the_first_stage() -> None:
    collapsed = {"q": [(doc, 0.25) for doc, _ in FIRST["q"][:3]]}
    assert [doc for doc, _ in rerank(FIRST, collapsed)["q"]] == ["c", "b", "a", "d"]  # trec_eval's order
    assert [doc for doc, _ in interpolate(FIRST, collapsed, 0.5)["q"]] == ["a", "b", "c", "d"]
