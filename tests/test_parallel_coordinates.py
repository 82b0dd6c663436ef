"""Experiments drawn from what `dvc exp show --csv` prints."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pandas as pd
import pytest

from structure import ROOT

SPEC = importlib.util.spec_from_file_location("parallel_coordinates", ROOT / "docs/parallel_coordinates.py")
assert SPEC and SPEC.loader
parallel_coordinates = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(parallel_coordinates)

PRINTED = """\
Experiment,rev,typ,Created,State,Executor,retrieval.RR@10.lora,methods.lora.budget,seeds.retriever,bm25.k1
,workspace,baseline,,,,0.5,0.005,[13],0.9
half,96fc959,branch_commit,2026-11-23T20:40:26,Success,Dvc-task,0.45,0.0025,[13],0.9
other,8ec9821,branch_base,2026-11-23T20:40:22,Success,Dvc-task,0.7,0.01,[14],0.9
late,50f9039,branch_commit,,Running,Dvc-task,0.5,0.02,[13],0.9
"""


@pytest.fixture
def experiments() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(PRINTED))


def test_what_differs_is_an_axis_from_its_least_to_its_greatest(experiments: pd.DataFrame) -> None:
    axes = parallel_coordinates.axes_of(experiments[:3])
    assert list(axes.columns) == ["retrieval.RR@10.lora", "methods.lora.budget", "seeds.retriever"]
    assert axes["retrieval.RR@10.lora"].tolist() == pytest.approx([0.2, 0, 1])
    assert axes["methods.lora.budget"].tolist() == pytest.approx([1 / 3, 0, 1])
    assert axes["seeds.retriever"].tolist() == [0, 0, 1]


def test_finished_experiments_are_drawn_by_name(experiments: pd.DataFrame, tmp_path: Path) -> None:
    parallel_coordinates.draw(experiments, tmp_path / "sweep.svg")
    drawn = (tmp_path / "sweep.svg").read_text()
    assert all(f"<!-- {name} -->" in drawn for name in ("workspace", "half", "other", "0.45", "0.0025"))
    assert "<!-- late -->" not in drawn


def test_nothing_to_draw_is_said(experiments: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nothing to draw"):
        parallel_coordinates.draw(experiments[:1], tmp_path / "sweep.svg")
