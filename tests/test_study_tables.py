"""The tables by length of training in docs/study/README.md are those of the files that they come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from structure import ROOT

STUDIES = ROOT / "docs/study"


class Group(NamedTuple):
    """Rows about one study and stage, at several lengths."""

    folder: Path
    stage: str
    task: str
    measure: str


# By what the first of its rows says before the steps.
GROUPS = {
    "retriever, pydocs": Group(STUDIES / "pydocs-gpu", "retriever", "retrieval", "RR@10"),
    "retriever, NFCorpus": Group(STUDIES / "nfcorpus", "retriever", "retrieval", "nDCG@10"),
    "re-ranker, pydocs": Group(STUDIES / "pydocs-gpu", "reranker", "reranking", "RR@10"),
}


def shown(place: int) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Group, steps and cells by type of each row of the table number ``place`` that begins with steps."""
    text = (STUDIES / "README.md").read_text(encoding="utf-8")
    lines = text.split("\n| steps |")[place].partition("\n\n")[0].splitlines()
    names = [name.strip() for name in lines[0].split("|")[:-1]]
    group = ""
    for line in lines[2:]:
        label, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
        named, _, steps = label.rpartition(", ")
        group = named or group
        yield group, int(steps), dict(zip(names, cells, strict=True))


def trainings(group: Group) -> pd.DataFrame:
    """The best step of each training of the group, at all lengths."""
    trained = pd.read_csv(group.folder / "steps.tsv", sep="\t")
    return trained[trained["stage"] == group.stage]


def told(means: pd.Series, sds: pd.Series) -> dict[str, str]:
    """``.520 ± .006`` by type."""
    return {str(name): f"{means[name]:.3f} ± {sds[name]:.3f}".replace("0.", ".") for name in means.index}


def test_dev_at_each_length_is_that_of_the_trainings() -> None:
    found = list(shown(1))
    assert {group for group, _, _ in found} == set(GROUPS)
    for group, steps, cells in found:
        trained = trainings(GROUPS[group])
        best = trained[trained["steps"] == steps].groupby("variant")["best_dev"]
        assert cells == told(best.mean(), best.std())


def test_test_at_each_length_is_that_of_the_runs() -> None:
    found = list(shown(2))
    longest = {group: steps for group, steps, _ in found}
    assert set(longest) == set(GROUPS)
    for name, steps, cells in found:
        group = GROUPS[name]
        file = group.folder / ("metrics/spread.tsv" if steps == longest[name] else "shorter.tsv")
        spread = pd.read_csv(file, sep="\t")
        spread = spread[(spread["stage"] == group.task) & (spread["measure"] == group.measure)]
        spread = spread.set_index("row").loc[list(cells)]
        assert cells == told(spread["mean"], spread["sd"])


@pytest.mark.parametrize("name", GROUPS)
def test_the_longest_trainings_are_those_that_the_study_analysed(name: str) -> None:
    group = GROUPS[name]
    trained = trainings(group)
    trained = trained[trained["steps"] == trained["steps"].max()]
    learning = json.loads((group.folder / "metrics/learning.json").read_text(encoding="utf-8"))[group.stage]
    for variant, rows in trained.groupby("variant"):
        best = [float(f"{dev:.4g}") for dev in rows.sort_values("seed")["best_dev"]]
        assert best == learning[variant]["best_dev"]
