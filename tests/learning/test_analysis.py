"""The figures of learning, from a study with made-up curves, and the report's section on them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftir.learning.analysis import analyse
from peftir.report.learning import drawings, explanation, surfaces, table
from peftir.report.reading import read_study
from peftir.report.style import looks_of
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from synthetic_study import make_params, write_study

SEEDS = {"retriever": [13, 14], "reranker": [13]}


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Params]:
    """Everything but the loss around the models, which takes models."""
    random = np.random.default_rng(0)
    params = make_params(tmp_path, seeds=SEEDS, learning={"seeds": 0})
    write_study(tmp_path, params, lambda *row: random.random(5).round(3))
    analyse(tmp_path, params)
    return tmp_path, params


def written(root: Path) -> dict[str, Any]:
    return json.loads((root / layout.LEARNING).read_text())


def test_steps_to_a_share_of_fulls_gain_are_read_off_the_curves(study: tuple[Path, Params]) -> None:
    root, _ = study
    found = written(root)
    rows = {
        seed: (root / layout.curve("retriever", "full", seed) / "plots/metrics/dev/RR@10.tsv")
        for seed in SEEDS["retriever"]
    }
    curves = {
        seed: [line.split("\t") for line in path.read_text().splitlines()[1:]] for seed, path in rows.items()
    }
    start = sum(float(curve[0][1]) for curve in curves.values()) / 2
    best = sum(max(float(value) for _, value in curve) for curve in curves.values()) / 2
    # What is written has four significant digits, so it is off by 0.05 % at most.
    assert found["targets"]["retriever"] == {
        "start": pytest.approx(start, rel=1e-3),
        "best": pytest.approx(best, rel=1e-3),
    }
    for place, curve in enumerate(curves.values()):
        first = next((int(s) for s, value in curve if float(value) >= start + 0.9 * (best - start)), None)
        full = found["retriever"]["full"]
        assert full["steps_to"]["0.90"][place] == first
        assert full["seconds_to"]["0.90"][place] == (None if first is None else 0.75 * first)


def test_every_trained_variant_has_a_value_a_seed_and_what_trains_nothing_has_none(
    study: tuple[Path, Params],
) -> None:
    root, params = study
    found = written(root)
    assert set(found["retriever"]) == set(params.variants.retriever)
    for stage, seeds in SEEDS.items():
        for figures in found[stage].values():
            assert {len(v) for v in figures.values() if isinstance(v, list)} == {len(seeds)}
            assert figures["sharpness"] == [None] * len(seeds)
            assert figures["failed_seeds"] == 0
    assert found["reranker"]["full"]["best_dev_sd"] is None
    assert found["retriever"]["full"]["best_dev_sd"] == pytest.approx(abs(13 - 14) / 5000 / 2**0.5, rel=1e-3)


def test_curves_of_all_variants_are_in_one_table(study: tuple[Path, Params]) -> None:
    root, params = study
    lines = (root / layout.learning_curves("retriever")).read_text().splitlines()
    assert lines[0].split("\t") == ["variant", "seed", "step", "dev", "loss"]
    first = lines[1].split("\t")
    assert first[:3] == ["full", "13", "0"] and first[4] == ""
    points = params.retriever.steps // params.retriever.evaluate_every + 1
    assert len(lines) - 1 == points * 2 * len(params.variants.retriever)


def test_without_full_fine_tuning_no_level_is_reached(tmp_path: Path) -> None:
    params = make_params(
        tmp_path, variants={"retriever": ["lora"], "reranker": ["lora"]}, learning={"seeds": 0}
    )
    write_study(tmp_path, params, lambda *row: [0.5, 0.2])
    analyse(tmp_path, params)
    assert written(tmp_path)["targets"]["retriever"] is None
    assert written(tmp_path)["retriever"]["lora"]["steps_to"]["0.99"] == [None] * len(params.seeds.retriever)


def test_seconds_that_do_not_fit_the_curve_are_refused_with_the_stage_to_run(
    study: tuple[Path, Params],
) -> None:
    root, params = study
    path = root / layout.resources("train_reranker", "lora", 13)
    content = json.loads(path.read_text())
    content["seconds_at"].popitem()
    path.write_text(json.dumps(content))
    with pytest.raises(PeftirError, match=r"lora-13.json: seconds_at: .*run the stage 'train_reranker'"):
        analyse(root, params)


def with_surfaces(root: Path) -> None:
    """Put made-up losses around the models: a bowl for each variant, steeper from one to the next."""
    learning, surfaces_of = written(root), json.loads((root / layout.SURFACES).read_text())
    a, b = np.meshgrid(*[np.linspace(-1, 1, surfaces_of["points"])] * 2, indexing="ij")
    for stage in SEEDS:
        for place, variant in enumerate(learning[stage], start=1):
            surfaces_of[stage][variant]["loss"] = {"13": (0.3 + place * (a**2 + b**2)).tolist()}
            learning[stage][variant] |= {"sharpness": [12.345, None], "roughness": [0.00123, None]}
    (root / layout.LEARNING).write_text(json.dumps(learning))
    (root / layout.SURFACES).write_text(json.dumps(surfaces_of))


def test_the_report_shows_each_variants_figures(study: tuple[Path, Params]) -> None:
    root, params = study
    with_surfaces(root)
    stage = read_study(root, params).retrieval
    assert stage.learned is not None
    shown = table(stage, stage.learned)
    assert [row.name for row in shown.groups[0].rows] == stage.trained
    cells = dict(zip(shown.columns, shown.groups[0].rows[0].cells, strict=True))
    assert cells["sharpness"].text == "12" and cells["roughness"].text == "0.0012"
    assert cells["barrier"].text == "–"
    assert "full" in explanation(stage)


def test_a_level_that_some_seeds_never_reach_says_so(study: tuple[Path, Params]) -> None:
    root, params = study
    learning = written(root)
    learning["retriever"]["lora"]["steps_to"] = {"0.90": [20, 30], "0.95": [20, None], "0.99": [None, None]}
    (root / layout.LEARNING).write_text(json.dumps(learning))
    stage = read_study(root, params).retrieval
    assert stage.learned is not None
    [lora] = [row for row in table(stage, stage.learned).groups[0].rows if row.name == "lora"]
    assert [cell.text for cell in lora.cells[:3]] == ["25", "20 (1 of 2 seeds)", "never"]


def test_the_figures_are_drawn_in_the_pages_own_colours(study: tuple[Path, Params]) -> None:
    root, params = study
    with_surfaces(root)
    both = read_study(root, params)
    for stage in (both.retrieval, both.reranking):
        assert stage.learned is not None
        drawn = [
            *drawings(stage, stage.learned, looks_of(both.variants)),
            *surfaces(stage, stage.learned, looks_of(both.variants)),
        ]
        assert len(drawn) == 3 + 2 * len(stage.trained)
        assert "nats" in drawn[3].caption
        for figure in drawn:
            assert set(re.findall(r"#[0-9a-fA-F]{6}\b", figure.svg)) <= {"#000000", "#ffffff"}, figure.title


def test_gradients_of_a_layer_are_those_of_its_modules_together(study: tuple[Path, Params]) -> None:
    root, params = study
    for seed in SEEDS["retriever"]:
        path = root / layout.training("retriever", "lora", seed)
        content = json.loads(path.read_text())
        content["gradients"] = {
            "a": {"layer": 0, "norms": [3.0]},
            "b": {"layer": 0, "norms": [4.0]},
            "c": {"layer": 1, "norms": [2.0 * seed]},
            "head": {"layer": None, "norms": [9.0]},
        }
        path.write_text(json.dumps(content))
    learned = read_study(root, params).retrieval.learned
    assert learned is not None
    assert learned.gradients["lora"].to_numpy().tolist() == [[5.0, 27.0]]
