"""Fusion by reciprocal ranks and by interpolated scores, worked out by hand."""

from __future__ import annotations

import pytest

from peftir.ranking.fusion import interpolated_rankings, reciprocal_rank_fusion
from peftir.ranking.interpolation import best_weight


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


# Normalized: a 1, b 0.75, c 0 by the first; c 1, d 0 by the second. What a ranking lacks has 0 there.
FIRST, SECOND = [("a", 9.0), ("b", 8.0), ("c", 5.0)], [("c", 0.2), ("d", 0.1)]


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (0.0, [("a", 1.0), ("b", 0.75), ("d", 0.0), ("c", 0.0)]),
        (0.25, [("a", 0.75), ("b", 0.5625), ("c", 0.25), ("d", 0.0)]),
        (0.5, [("c", 0.5), ("a", 0.5), ("b", 0.375), ("d", 0.0)]),
        (1.0, [("c", 1.0), ("d", 0.0), ("b", 0.0), ("a", 0.0)]),
    ],
)
def test_interpolated_scores_are_weighted_sums_of_normalized_ones(
    weight: float, expected: list[tuple[str, float]]
) -> None:
    assert interpolated_rankings(FIRST, SECOND, weight) == expected


def test_a_ranking_of_one_document_or_of_none_adds_nothing() -> None:
    assert interpolated_rankings([("a", 3.0)], FIRST, 0.5)[0] == ("a", 0.5)
    assert interpolated_rankings([], [], 0.5) == []


def test_the_weight_is_the_best_on_the_judged_queries_and_the_middle_of_several() -> None:
    def run_with(weight: float) -> dict[str, list[tuple[str, float]]]:
        return {"q": interpolated_rankings(FIRST, SECOND, weight)}

    # c is first from 0.5 (where it wins against a by its id) to 1: 11 weights, the middle one is 0.75.
    weight, tried = best_weight(run_with, {"q": {"c": 1}}, "RR@10")
    assert (weight, tried[0.25], tried[0.45]) == (0.75, pytest.approx(1 / 3), 0.5)
