"""Curves over shares of the training queries, from what `dvc exp show --csv` prints."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pandas as pd
import pytest

from structure import ROOT

SPEC = importlib.util.spec_from_file_location("label_shares", ROOT / "docs/label_shares.py")
assert SPEC and SPEC.loader
label_shares = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(label_shares)

PRINTED = """\
Experiment,rev,State,retrieval.RR@10.bm25,retrieval.RR@10.lora,reranking.RR@10.lora,collection.train_share
,workspace,,0.4,0.9,0.3,1
,main,,0.4,0.7,0.3,1
low,96fc959,Success,0.4,0.45,0.2,0.05
low2,96fc95a,Success,0.4,0.55,0.2,0.05
late,50f9039,Running,0.4,0.7,0.3,0.1
"""


@pytest.fixture
def experiments() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(PRINTED))


def test_a_curve_has_the_mean_of_the_finished_experiments_at_each_share(experiments: pd.DataFrame) -> None:
    curves = label_shares.curves_of(experiments, "retrieval.RR@10")
    assert curves.index.tolist() == [0.05, 1]
    assert curves["lora"].tolist() == [pytest.approx(0.5), 0.7]
    assert curves["bm25"].tolist() == [0.4, 0.4]
    assert list(label_shares.curves_of(experiments, "reranking.RR@10")) == ["lora"]


def test_each_variant_is_drawn(experiments: pd.DataFrame, tmp_path: Path) -> None:
    label_shares.draw(
        label_shares.curves_of(experiments, "retrieval.RR@10"), "retrieval.RR@10", tmp_path / "labels.svg"
    )
    drawn = (tmp_path / "labels.svg").read_text()
    assert all(f"<!-- {text} -->" in drawn for text in ("bm25", "lora", "5", "100"))


@pytest.mark.parametrize(("rows", "metric"), [(5, "retrieval.AP"), (2, "retrieval.RR@10")])
def test_without_the_metric_or_with_one_share_there_is_nothing_to_draw(
    experiments: pd.DataFrame, rows: int, metric: str
) -> None:
    with pytest.raises(SystemExit, match=r"expected (a task and measure|experiments with two shares)"):
        label_shares.curves_of(experiments[:rows], metric)
