"""``peftir power``: its table for the studies in docs/statistics.md, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from peftir.pipeline.power import as_table, requirements
from peftir.system.errors import PeftirError
from structure import ROOT

STUDIES = {"default study": ROOT} | {
    name: ROOT / "docs/study" / name for name in ("pydocs-gpu", "nfcorpus", "pydocs-reranking")
}


def shown() -> list[list[str]]:
    """The rows of the page's table, each with its study."""
    page = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    lines = page.split("| study | stage |")[1].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


@pytest.mark.parametrize("study", STUDIES)
def test_the_table_of_the_page_is_what_the_command_prints(study: str) -> None:
    expected = {tuple(each.cells) for each in requirements(STUDIES[study], 0.01)}
    found = [tuple(cells) for name, *cells in shown() if name == study]
    assert found and set(found) <= expected


def test_the_columns_are_aligned_and_the_correction_is_told() -> None:
    found = requirements(STUDIES["nfcorpus"], 0.02, comparisons=22)
    text = as_table(found, 0.02, 22)
    assert "alpha / 22" in text and "difference of 0.02" in text
    head, *lines = text.split("\n\n")[1].splitlines()
    assert len(lines) == 6 and len({len(line) for line in (head, *lines)}) == 1
    uncorrected = requirements(STUDIES["nfcorpus"], 0.02)
    for corrected, each in zip(found, uncorrected, strict=True):
        assert each.seeds_needed is not None
        assert corrected.seeds_needed is None or corrected.seeds_needed > each.seeds_needed


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        (("retrieval bm25 -1 RR", "retrieval full 13 RR", "retrieval lora 13 RR"), "at least 2 seeds"),
        (("retrieval full 13 RR", "retrieval full 14 RR"), "two trained variants"),
    ],
)
def test_a_study_without_seeds_or_pairs_is_refused(
    columns: tuple[str, ...], wrong: str, tmp_path: Path
) -> None:
    (tmp_path / "metrics").mkdir()
    table = pd.DataFrame({"query": ["q1", "q2"], **{name: [0.5, 1.0] for name in columns}})
    table.to_parquet(tmp_path / "metrics/queries.parquet")
    with pytest.raises(PeftirError, match=re.escape(wrong)):
        requirements(tmp_path, 0.01)


def test_a_folder_without_metrics_is_named(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match=r"queries\.parquet: not found; expected"):
        requirements(tmp_path, 0.01)


def test_a_test_set_has_lines_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "metrics/tests/dl19"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    columns = [f"retrieval {row} {seed} RR" for row in ("full", "lora") for seed in (13, 14)]
    for path, queries in ((tmp_path / "metrics", 30), (folder, 20)):
        table = pd.DataFrame(random.random((queries, 4)), columns=columns)
        table.assign(query=[str(number) for number in range(queries)]).to_parquet(path / "queries.parquet")
    found = requirements(tmp_path, 0.1)
    assert [(each.stage, each.queries) for each in found] == [
        *[("retrieval", 30)] * 2,
        *[("retrieval on dl19", 20)] * 2,
    ]
    # The metrics of a test set stay when it is removed from the params.
    for tests, expected in (("{dl19: {source: x}, dl20: {source: y}}", 4), ("{}", 2)):
        (tmp_path / "params.yaml").write_text(f"tests: {tests}\n")
        assert len(requirements(tmp_path, 0.1)) == expected
