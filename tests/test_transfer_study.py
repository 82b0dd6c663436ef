"""The figures in docs/study/pydocs-transfer are those of the study's metrics, and those of its queries."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from structure import ROOT

STUDY = ROOT / "docs/study/pydocs-transfer"
SETS = {"pydocs": "RR@10", "nfcorpus": "nDCG@10", "cranfield": "nDCG@10", "dl19_sample": "nDCG@10"}
"""The first measure of each set of test queries, in the order of the page's columns."""
STAGES = {
    "BM25": "bm25",
    "full-13": "full-13",
    "reciprocal rank fusion": "rrf",
    "interpolation": "interpolated",
}


def metrics(test: str) -> Path:
    return STUDY / "metrics" if test == "pydocs" else STUDY / "metrics/tests" / test


def table(path: Path, **which: str) -> pd.DataFrame:
    """The lines of a table that have the given values."""
    found = pd.read_csv(path, sep="\t")
    for column, value in which.items():
        found = found[found[column] == value]
    return found


def signed(value: float) -> str:
    """``+0.012``, ``−0.012`` or ``0.000``."""
    shown = f"{value:+.3f}".replace("-", "−")
    return "0.000" if shown[1:] == "0.000" else shown


def difference(line: pd.Series) -> str:
    star = "\\*" if line["two_level_holm"] <= 0.05 else ""
    return f"{signed(line['difference'])}{star} ({signed(line['low'])} to {signed(line['high'])})"


def against(test: str, stage: str, row: str, other: str) -> str:
    which = {"stage": stage, "measure": SETS[test], "row": row, "other": other}
    [(_, line)] = table(metrics(test) / "comparisons.tsv", **which).iterrows()
    return difference(line)


def mean(test: str, reranker: str, row: str) -> str:
    """The mean of a chain, with a star if it differs significantly from the one behind BM25."""
    which = {"reranker": reranker, "measure": SETS[test], "row": row}
    folder = metrics(test) / "chains/full-13"
    [(_, line)] = table(folder / "spread.tsv", **which).iterrows()
    compared = table(folder / "comparisons.tsv", **which, other="bm25")
    star = "\\*" if (compared["two_level_holm"] <= 0.05).any() else ""
    return f"{line['mean']:.3f}{star}"


def lines() -> list[str]:
    return (STUDY / "README.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("row", ["full", "lora", "iaa_l"])
def test_the_retrievers_against_the_untrained_backbone(row: str) -> None:
    cells = [against(test, "retrieval", row, "zero_shot") for test in SETS]
    assert " | ".join([f"| `{row}`", *cells]) + " |" in lines()


@pytest.mark.parametrize("row", ["full", "full+bm25"])
def test_the_rerankers_against_bm25(row: str) -> None:
    cells = [against(test, "reranking", row, "bm25") for test in SETS]
    assert " | ".join([f"| `{row}`", *cells]) + " |" in lines()


@pytest.mark.parametrize("title", STAGES)
def test_the_first_stages(title: str) -> None:
    cells = [mean(test, reranker, STAGES[title]) for test in SETS for reranker in ("none", "full+first")]
    assert " | ".join([f"| {title}", *cells]) + " |" in lines()


@pytest.mark.parametrize("test", SETS)
def test_the_means_are_those_of_the_queries(test: str) -> None:
    queries = pd.read_parquet(metrics(test) / "queries.parquet").drop(columns="query")
    means = queries.mean().rename_axis("name").reset_index(name="mean")
    means[["stage", "row", "seed", "measure"]] = means["name"].str.split(" ", expand=True)
    found = means.groupby(["stage", "row", "measure"])["mean"].mean()
    spread = table(metrics(test) / "spread.tsv").set_index(["stage", "row", "measure"])["mean"]
    assert sorted(found.index) == sorted(spread.index)
    # What git keeps of a query has four decimals.
    pd.testing.assert_series_equal(found, spread.loc[found.index], check_names=False, rtol=0, atol=5e-5)


def test_the_untrained_backbone_differs_from_itself_by_nothing() -> None:
    """A model that was kept untrained has the untrained backbone's value for every query."""
    for test in SETS:
        queries = pd.read_parquet(metrics(test) / "queries.parquet")
        names = [name for name in queries if name.startswith("retrieval zero_shot -1 ")]
        assert names
        for name in names:
            kept = name.replace("zero_shot -1", "iaa_l 15")
            assert (queries[name] - queries[kept] == 0).all()
