"""What is compared with what, and where its numbers come from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from peftir.statistics.comparisons import comparisons, pairs, spread
from peftir.statistics.significance import holm

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

ALL_PAIRS = {
    "retrieval": [[("full", "bm25"), ("lora", "bm25"), ("lora", "full")]],
    "reranking": [[("lora", "bm25")]],
}


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
    table = comparisons(TABLE, ALL_PAIRS)
    (pair,) = table[(table.stage == "retrieval") & (table.measure == "RR@10") & (table.row == "lora")][
        lambda lines: lines.other == "full"
    ].to_dict("records")
    differences = np.array([[0, 0, 0.5, 0], [0, 0, 0.5, 1]])
    assert pair["difference"] == 0.25
    by_query = stats.ttest_1samp(differences.mean(axis=0), 0).pvalue
    # P-values are rounded to three significant digits: by 0.5 % at most.
    assert pair["t_test"] == pytest.approx(by_query, rel=5e-3)
    assert pair["two_level"] > pair["t_test"]
    # Over seeds 0, 0, 1/2 and 1/2: the sum is as large only if both signs are alike.
    assert pair["randomization"] == 1 / 2
    assert pair["low"] < 0.25 < pair["high"]


def test_bm25_is_compared_with_every_seed() -> None:
    table = comparisons(TABLE, ALL_PAIRS).set_index(["stage", "measure", "row", "other"])
    assert table.loc[("retrieval", "RR@10", "full", "bm25"), "difference"] == 0.6875 - 0.375
    assert table.loc[("reranking", "RR@10", "lora", "bm25"), "difference"] == 0.25


def test_a_family_is_corrected_at_each_measure() -> None:
    table = comparisons(TABLE, ALL_PAIRS)
    assert len(table) == 3 + 3 + 1
    for _, family in table.groupby(["stage", "measure"]):
        # Both are rounded to three significant digits.
        smallest = family["t_test"].min()
        assert family["t_test_holm"].min() == pytest.approx(min(1, len(family) * smallest), rel=1e-2)
    # A family of one needs no correction; with one seed there is but one test over queries.
    lone = table[table.stage == "reranking"].iloc[0]
    assert lone["t_test_holm"] == lone["t_test"] == lone["two_level"]
    # Where nothing differs, nothing is found.
    same = table[table.measure == "R@100"]
    assert (same[["difference", "low", "high"]] == 0).all(axis=None)
    assert (same[["two_level", "t_test", "randomization"]] == 1).all(axis=None)


def test_pairs_are_corrected_within_their_family_and_others_not_at_all() -> None:
    """As (other, row), too; 3 pairs in two families: twice one of two, once one alone."""
    found = comparisons(TABLE, {"retrieval": [[("bm25", "full"), ("lora", "bm25")], [("lora", "full")]]})
    found = found.set_index(["stage", "measure", "row", "other"]).sort_index().loc[("retrieval", "RR@10")]
    two, alone = found.loc[[("full", "bm25"), ("lora", "bm25")]], found.loc[("lora", "full")]
    # Both are rounded to three significant digits.
    assert two["t_test_holm"].to_numpy() == pytest.approx(np.array(holm(list(two["t_test"]))), rel=1e-2)
    assert two["t_test_holm"].min() == pytest.approx(2 * two["t_test"].min(), rel=1e-2)
    assert alone["t_test_holm"] == alone["t_test"]
    unasked = comparisons(TABLE, {"retrieval": [[("lora", "full")]]})
    assert unasked["two_level"].notna().all() and unasked["two_level_holm"].notna().sum() == 2  # measures
    assert unasked["two_level"].tolist() == comparisons(TABLE, ALL_PAIRS)["two_level"].tolist()


def test_a_family_of_rows_that_are_not_compared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'lora\+bm25', 'full'"):
        comparisons(TABLE, {"retrieval": [[("lora+bm25", "full")]]})


STUDIES, METHODS = 400, ("full", "lora", "adapter", "mam", "iaa_s", "iaa_l")
QUERIES = 12  # with which the randomization test, which is not looked at here, is fast
ASKED = [
    *((row, "full") for row in ("bm25", *METHODS[1:])),
    *((iaa, other) for iaa in ("iaa_s", "iaa_l") for other in ("lora", "adapter", "mam")),
]


def studies(seeds: int, apart: float, gain: float = 0.0) -> pd.DataFrame:
    """Many synthetic studies as measures of one table; all methods but full fine-tuning gain the same.

    Queries, seeds (which stand for the same batches for all methods) and their interaction are random, and
    so is each training, with a standard deviation of ``apart``.
    """
    random = np.random.default_rng(seeds)
    of_query, of_seed = (
        random.normal(0, 1, (STUDIES, 1, QUERIES)),
        random.normal(0, apart, (STUDIES, seeds, 1)),
    )
    tables = []
    for row in ("bm25", *METHODS):
        trained = 1 if row == "bm25" else seeds
        values = of_query + random.normal(0, 0.5, (STUDIES, 1, QUERIES)) + np.zeros((1, trained, 1))
        if row != "bm25":
            values = values + of_seed + random.normal(0, apart, (STUDIES, seeds, 1))
            values += random.normal(0, 0.3, values.shape) + gain * (row != "full")
        study, seed, query = (axis.ravel() for axis in np.indices(values.shape))
        found = {"row": row, "seed": seed, "query": query, "measure": study, "value": values.ravel()}
        tables.append(pd.DataFrame(found).assign(stage="retrieval"))
    return pd.concat(tables)


def found_any(table: pd.DataFrame, column: str) -> float:
    """The share of studies in which something is significant."""
    return float((table[column] <= 0.05).groupby(table["measure"]).any().mean())


@pytest.mark.parametrize(("seeds", "apart"), [(1, 0.0), (3, 0.05)])
def test_one_study_in_twenty_at_most_finds_a_difference_where_there_is_none(seeds: int, apart: float) -> None:
    found = comparisons(studies(seeds, apart), {"retrieval": [ASKED]})
    error = np.sqrt(0.05 * 0.95 / STUDIES)
    assert found_any(found, "two_level_holm") <= 0.05 + 3 * error
    assert found_any(found, "two_level") > 0.05 + 3 * error  # the correction is needed
    if seeds == 1:  # the t-test; over seeds, too, the test errs on the safe side
        assert found_any(found, "two_level_holm") == pytest.approx(0.05, abs=3 * error)


def test_what_is_asked_is_found_more_often_than_among_all_pairs() -> None:
    table = studies(3, 0.05, gain=0.5)
    everything = pairs(["bm25", *METHODS])
    asked, among_all = (
        comparisons(table, {"retrieval": [family]})
        .set_index(["measure", "row", "other"])["two_level_holm"]
        .loc[lambda p: p.index.get_level_values("other") == "full"]
        for family in (ASKED, everything)
    )
    assert len(ASKED) < len(everything) and (asked <= among_all).all()
    assert (asked <= 0.05).mean() > (among_all <= 0.05).mean() + 0.02


def test_interpolated_rows_are_compared_among_themselves_and_with_bm25() -> None:
    assert pairs(["bm25", "full", "full+bm25", "lora", "lora+bm25"]) == [
        ("full", "bm25"),
        ("lora", "bm25"),
        ("lora", "full"),
        ("full+bm25", "bm25"),
        ("lora+bm25", "bm25"),
        ("lora+bm25", "full+bm25"),
    ]
