"""The table of a sweep of learning rates, from what trainings write."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from peftir.study import layout
from peftir.study.params import load_params
from structure import ROOT
from synthetic_study import make_params

SPEC = importlib.util.spec_from_file_location("learning_rates", ROOT / "docs/learning_rates.py")
assert SPEC and SPEC.loader
learning_rates = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(learning_rates)


def reached(variant: str, seed: int, dev: float) -> None:
    file = layout.training("retriever", variant, seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"best_dev": dev}))


def test_a_row_has_the_rates_of_one_type_in_order_and_its_best_is_bold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rates = {"high": 3e-3, "low": 3e-4, "not_run": 1e-2}
    methods = {
        name: {"type": "lora", "rank": 4, "learning_rate": {"retriever": rate, "reranker": rate}}
        for name, rate in rates.items()
    }
    params = make_params(
        tmp_path,
        methods=methods,
        variants={"retriever": [*methods, "full"], "reranker": ["full"]},
        seeds={"retriever": [1, 2], "reranker": [1]},
    )
    for variant, devs in {"high": (0.5, 0.6), "low": (0.4, 0.4), "full": (0.7, 0.7)}.items():
        for seed, dev in zip((1, 2), devs, strict=True):
            reached(variant, seed, dev)
    reached("not_run", 1, 0.9)  # its second seed is not there yet
    rate = params.methods["full"].learning_rate
    assert rate is not None
    assert learning_rates.table(params, "retriever")[2:] == [
        "| lora | 0.0003: 0.400 | **0.003: 0.550** |",
        f"| full | **{rate.retriever:g}: 0.700** |  |",
    ]


def test_a_sweep_has_a_table_for_either_stage() -> None:
    assert (ROOT / "docs/learning-rates.md").read_text(encoding="utf-8").count("| full |") == 4


@pytest.mark.parametrize(
    ("document", "heading", "stage", "settings"),
    [
        ("learning-rates.md", "retriever, default study |", "retriever", "params.yaml"),
        ("learning-rates.md", "reranker, default study |", "reranker", "params.yaml"),
        ("learning-rates.md", "retriever |", "retriever", "profiles/study-pydocs.yaml"),
        ("learning-rates.md", "reranker |", "reranker", "profiles/study-pydocs.yaml"),
        ("study/README.md", "retriever, pydocs, RR@10 |", "retriever", "profiles/study-pydocs-gpu.yaml"),
        ("study/README.md", "reranker, pydocs, RR@10 |", "reranker", "profiles/study-pydocs-gpu.yaml"),
        ("study/README.md", "retriever, nfcorpus, nDCG@10 |", "retriever", "profiles/study-nfcorpus.yaml"),
    ],
)
def test_a_study_has_the_rates_that_its_table_calls_the_best(
    document: str, heading: str, stage: str, settings: str
) -> None:
    params = load_params(ROOT / settings)
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    assert text.count(f"| {heading}") == 1
    table = text.partition(f"| {heading}")[2].partition("\n\n")[0]
    rows = {row.split("|")[1].strip(): row for row in table.splitlines() if "**" in row}
    trained = set(params.variants.trained(stage))
    if settings == "params.yaml":  # a part of the types
        assert trained and trained <= set(rows)
    else:
        assert trained == set(rows)
    for name in trained:
        rate = params.methods[name].learning_rate
        assert rate is not None
        assert f"**{rate.at(stage):g}: " in rows[name]
