"""Reciprocal rank fusion, worked out by hand."""

from __future__ import annotations

import pytest

from peftir.ranking.fusion import reciprocal_rank_fusion


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    first = [("a", 9.0), ("b", 8.0), ("c", 7.0)]
    second = [("c", 0.2), ("d", 0.1)]
    assert reciprocal_rank_fusion([first, second]) == [
        ("c", pytest.approx(1 / 63 + 1 / 61)),
        ("a", pytest.approx(1 / 61)),
        ("d", pytest.approx(1 / 62)),  # as high as b, which comes before it in the alphabet
        ("b", pytest.approx(1 / 62)),
    ]


def test_one_ranking_keeps_its_order_and_none_is_empty() -> None:
    assert [id for id, _ in reciprocal_rank_fusion([[("b", 1.0), ("c", 0.9), ("a", 0.8)], []])] == [
        "b",
        "c",
        "a",
    ]
    assert reciprocal_rank_fusion([[], []]) == []
