"""What is compared with what, and where its numbers come from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from peftir.statistics.comparisons import comparisons, pairs, spread

# Four queries; by row and seed.
VALUES = {
    ("bm25", -1): [1, 0.5, 0, 0],
    ("full", 13): [1, 1, 0.5, 0.5],
    ("full", 14): [1, 1, 0.5, 0],
    ("lora", 13): [1, 1, 1, 0.5],
    ("lora", 14): [1, 1, 1, 1],
}


def per_query(stage: str, measure: str, values: dict[tuple[str, int], list[float]]) -> pd.DataFrame:
    lines = [
        (stage, row, seed, f"q{query}", measure, value)
        for (row, seed), column in values.items()
        for query, value in enumerate(column)
    ]
    return pd.DataFrame(lines, columns=["stage", "row", "seed", "query", "measure", "value"])


TABLE = pd.concat(
    [
        per_query("retrieval", "RR@10", VALUES),
        per_query("retrieval", "R@100", {key: [1.0, 1.0, 0.5, 0.0] for key in VALUES}),
        per_query("reranking", "RR@10", {("bm25", -1): [0.0, 0.5], ("lora", 7): [0.5, 0.5]}),
    ]
)


def test_spread_is_that_of_the_seeds_means() -> None:
    table = spread(TABLE).set_index(["stage", "measure", "row"])
    assert list(table.index[:3]) == [("retrieval", "RR@10", row) for row in ("bm25", "full", "lora")]
    full = table.loc[("retrieval", "RR@10", "full")]
    # 0.75 and 0.625; bm25 has no seeds to spread over.
    assert (full["mean"], full["sd"]) == (0.6875, pytest.approx(0.125 / np.sqrt(2), abs=5e-7))
    assert (full["queries"], full["seeds"]) == (4, 2)
    bm25 = table.loc[("retrieval", "RR@10", "bm25")]
    assert bm25["mean"] == 0.375 and bm25["seeds"] == 1 and np.isnan(bm25["sd"])
    for line in table.itertuples():
        assert line.low <= line.mean <= line.high


def test_what_is_shown_with_three_decimals_is_rounded_once() -> None:
    # Kept with four decimals it would be 0.5395, and that would be shown as 0.539.
    (line,) = spread(per_query("retrieval", "RR@10", {("full", 13): [0.539538]})).itertuples()
    assert f"{line.mean:.3f}" == "0.540"


def test_a_pair_is_compared_on_the_same_queries_with_the_same_seeds() -> None:
    table = comparisons(TABLE)
    (pair,) = table[(table.stage == "retrieval") & (table.measure == "RR@10") & (table.row == "lora")][
        lambda lines: lines.other == "full"
    ].to_dict("records")
    differences = np.array([[0, 0, 0.5, 0], [0, 0, 0.5, 1]])
    assert pair["difference"] == 0.25
    by_query = stats.ttest_1samp(differences.mean(axis=0), 0).pvalue
    assert pair["t_test"] == pytest.approx(by_query, rel=5e-3)
    assert pair["two_level"] > pair["t_test"]
    # Over seeds 0, 0, 1/2 and 1/2: the sum is as large only if both signs are alike.
    assert pair["randomization"] == 1 / 2
    assert pair["low"] < 0.25 < pair["high"]


def test_bm25_is_compared_with_every_seed() -> None:
    table = comparisons(TABLE).set_index(["stage", "measure", "row", "other"])
    assert table.loc[("retrieval", "RR@10", "full", "bm25"), "difference"] == 0.6875 - 0.375
    assert table.loc[("reranking", "RR@10", "lora", "bm25"), "difference"] == 0.25


def test_all_pairs_of_a_stage_and_measure_are_one_family() -> None:
    table = comparisons(TABLE)
    assert len(table) == 3 + 3 + 1
    for _, family in table.groupby(["stage", "measure"]):
        smallest = family["t_test"].min()
        assert family["t_test_holm"].min() == pytest.approx(min(1, len(family) * smallest), rel=1e-2)
    # A family of one needs no correction; with one seed there is but one test over queries.
    lone = table[table.stage == "reranking"].iloc[0]
    assert lone["t_test_holm"] == lone["t_test"] == lone["two_level"]
    # Where nothing differs, nothing is found.
    same = table[table.measure == "R@100"]
    assert (same[["difference", "low", "high"]] == 0).all(axis=None)
    assert (same[["two_level", "t_test", "randomization"]] == 1).all(axis=None)


def test_interpolated_rows_are_compared_among_themselves_and_with_bm25() -> None:
    assert pairs(["bm25", "full", "full+bm25", "lora", "lora+bm25"]) == [
        ("full", "bm25"),
        ("lora", "bm25"),
        ("lora", "full"),
        ("full+bm25", "bm25"),
        ("lora+bm25", "bm25"),
        ("lora+bm25", "full+bm25"),
    ]
