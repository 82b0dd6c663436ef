"""What a stage needs, from the project's own dvc.yaml and params."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.stage import PipelineStage as Stage

from peftir.pipeline.engine.needs import PROCESSES, Needs, needs_of
from structure import ROOT


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """The stages of a study whose trainings have four threads in two processes."""
    root = tmp_path_factory.mktemp("study")
    (root / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["threads"] = 4
    params["retriever"]["processes"] = 2
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        with Repo.init(no_scm=True) as repo:
            return {stage.addressing: stage for stage in repo.index.stages}


def test_the_processes_of_a_stage_share_its_threads(stages: dict[str, Stage]) -> None:
    needs = needs_of(stages["train_retriever@lora-13"], memory_mb=900)
    assert needs == Needs(4, True, 900, 2, "retriever.processes") and needs.threads_each == 2


def test_other_stages_are_one_process(stages: dict[str, Stage]) -> None:
    assert needs_of(stages["train_reranker@lora-13"]).processes == 1
    assert needs_of(stages["learning"]).processes == 1
    assert not needs_of(stages["evaluate"]).computing


def test_each_script_starts_as_many_processes_as_the_engine_expects() -> None:
    launched = {
        path.stem: re.search(r'"(\w+)\.processes"', path.read_text())
        for path in Path(ROOT, "stages").glob("*.py")
    }
    assert {stage: found[1] for stage, found in launched.items() if found} == PROCESSES


def test_each_of_these_stages_depends_on_the_number_of_processes() -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage, block in PROCESSES.items():
        params = pipeline[stage].get("do", pipeline[stage])["params"]
        assert {block, f"{block}.processes"} & set(params)
