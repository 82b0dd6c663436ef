"""Two processes train to what one trains to, go on after a kill, and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from peftir.pipeline.backbone import settle
from peftir.study.params import load_params
from peftir.system.errors import PeftirError
from peftir.training.distributed import launch
from test_benchmarks import WORDS as TOY_WORDS
from test_benchmarks import write_toy_study
from tiny_backbone import write_tiny_bert
from together import WORDS, Lesson, all_of, trained

ROOT = Path(__file__).parents[2]

# The unit of float64, 2e-16, times the numbers that are added up on the way, some 1e4 of each, with a margin.
ROUNDING = 1e-11


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("backbone") / "tiny", WORDS)


Written = list[tuple[dict[str, Tensor], Any]]  # by process: tensors and, if there are any, figures


def written(out: Path) -> Written:
    tensors = [load_file(file) for file in sorted(out.glob("?.safetensors"))]
    figures = [json.loads(file.read_text()) for file in sorted(out.glob("?.json"))] or [None] * len(tensors)
    return list(zip(tensors, figures, strict=True))


@pytest.fixture(scope="module")
def lessons(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Where one process, and where two, left what came of each stage and method, in a folder each."""
    folders = {}
    for processes in (1, 2):
        folders[processes] = tmp_path_factory.mktemp(f"by-{processes}")
        cases = [
            Lesson(stage, method, backbone, folders[processes] / f"{stage}-{method}")
            for stage in ("retriever", "reranker")
            for method in ("full", "lora", "iaa_l")
        ]
        for lesson in cases:
            lesson.out.mkdir()
        launch(all_of, (cases, folders[processes]), processes, "retriever.processes")
    return folders


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 0.0) -> None:
    assert list(found) == list(expected)
    far = {
        name: difference
        for name in expected
        if (difference := float((found[name] - expected[name]).abs().max())) > tolerance
    }
    assert far == {}


@pytest.mark.parametrize("method", ["lora", "iaa_l"])
@pytest.mark.parametrize("stage", ["retriever", "reranker"])
def test_two_processes_train_to_the_same_losses_and_weights(
    stage: str, method: str, lessons: dict[int, Path]
) -> None:
    [(weights, alone)] = written(lessons[1] / f"{stage}-{method}")
    (first, figures), (second, others) = written(lessons[2] / f"{stage}-{method}")
    assert_same(second, first)  # each took the very same steps
    # A number added to all scores alike has no gradient but rounding, up to 1e-15, which Adam divides by 1e-8
    # or more: in six steps at a rate of 1e-3 that makes up to 6e-10.
    assert_same(first, weights, 1e-9)
    losses = [loss for _, _, loss in figures["points"][1:]]
    assert losses == pytest.approx([loss for _, _, loss in alone["points"][1:]], rel=ROUNDING)
    assert figures["norms"] == pytest.approx(alone["norms"], rel=ROUNDING)
    assert others["points"] == figures["points"]


@pytest.mark.parametrize("stage", ["retriever", "reranker"])
def test_the_gradient_of_a_shared_batch_is_that_of_the_whole(stage: str, lessons: dict[int, Path]) -> None:
    [(alone, _)] = written(lessons[1] / f"{stage}-full")
    (first, _), (second, _) = written(lessons[2] / f"{stage}-full")
    assert_same(second, first)
    assert_same(first, alone, ROUNDING * max(float(gradient.abs().max()) for gradient in alone.values()))


def test_the_first_draws_what_one_process_draws_and_the_others_do_not(lessons: dict[int, Path]) -> None:
    [alone] = load_file(lessons[1] / "drawn.safetensors")["drawn"]
    first, second = load_file(lessons[2] / "drawn.safetensors")["drawn"]
    assert torch.equal(first, alone)
    assert not torch.equal(first, second)


def test_a_killed_training_of_two_processes_goes_on_to_the_same_weights(
    backbone: Path, tmp_path: Path
) -> None:
    def trained_by_two(**more: Any) -> Written:
        lesson = Lesson("retriever", "lora", backbone, tmp_path, dropout=0.3, **more)
        launch(trained, (lesson,), 2, "retriever.processes")
        return written(tmp_path)

    undisturbed = trained_by_two()
    with pytest.raises(PeftirError, match=r"^retriever.processes: 2: process 1 .* SIGKILL; .*memory"):
        trained_by_two(state=tmp_path / "state", killed_in=4)
    again = trained_by_two(state=tmp_path / "state")
    for (weights, figures), (expected, before) in zip(again, undisturbed, strict=True):
        assert_same(weights, expected)
        assert (before["steps"], figures["steps"]) == (6, 3)
        assert {**before, "steps": 3} == figures  # the curve, and what each would draw next
    assert undisturbed[0][1]["random"] != undisturbed[1][1]["random"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A toy study on a tiny backbone without dropout, trained by two processes."""
    write_toy_study(tmp_path)
    backbone = write_tiny_bert(tmp_path / "tiny", TOY_WORDS)
    config = json.loads((backbone / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (backbone / "config.json").write_text(json.dumps(config))
    set_params(tmp_path, "backbone", name=str(backbone), precision="float32")
    set_params(tmp_path, "retriever", processes=2, steps=4, evaluate_every=2)
    set_params(tmp_path, "reranker", processes=2, steps=4, evaluate_every=2)
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    content["methods"]["lora"] |= {"rank": 4}
    del content["methods"]["lora"]["budget"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        settle(Path(), load_params())
    return tmp_path


def set_params(folder: Path, block: str, **changes: Any) -> None:
    content = yaml.safe_load((folder / "params.yaml").read_text())
    content[block] |= changes
    (folder / "params.yaml").write_text(yaml.safe_dump(content))


def command(stage: str) -> list[str]:
    return [str(ROOT / f"stages/train_{stage}.py"), "--variant", "lora", "--seed", "13"]


def stage(folder: Path, stage: str, *launcher: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*(launcher or [sys.executable]), *command(stage)],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def outcome(folder: Path, stage: str) -> dict[str, Any]:
    """How the training went, and the weights that it kept."""
    record = json.loads((folder / f"metrics/training/{stage}/lora-13.json").read_text())
    weights = load_file(folder / f"models/{stage}/lora-13/adapter_model.safetensors")
    return record | {"kept": weights}


@pytest.mark.parametrize(
    ("name", "launcher"),
    [
        ("retriever", []),
        ("reranker", ["torchrun", "--standalone", "--nproc-per-node", "2"]),
        ("retriever", ["accelerate", "launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]),
    ],
)
def test_a_stage_gives_the_same_with_two_processes(study: Path, name: str, launcher: list[str]) -> None:
    done = stage(study, name, *launcher)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"metrics/curves/{name}/lora-13 has the learning curve"]
    two = outcome(study, name)
    set_params(study, name, processes=1)
    assert stage(study, name).returncode == 0
    one = outcome(study, name)
    for kept in (one["kept"], two["kept"]):
        # A number added to all scores alike has no gradient but rounding, of which Adam makes whole steps.
        kept.pop("base_model.model.classifier.bias", None)
    # In float32, where Adam makes a large step of a gradient that is hardly more than rounding: not of single
    # numbers, but of a weight, the mean square is that of a hundredth of a step at the rate of 1e-3.
    assert list(two["kept"]) == list(one["kept"])
    for weight, expected in one["kept"].items():
        assert float((two["kept"][weight] - expected).square().mean().sqrt()) < 1e-5, weight
    assert (two["best_step"], two["best_dev"]) == (one["best_step"], one["best_dev"])


def test_a_mistake_ends_all_processes_with_one_line(study: Path) -> None:
    file = study / "tiny/model.safetensors"
    save_file({n: weight * torch.nan for n, weight in load_file(file).items()}, file, {"format": "pt"})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        settle(Path(), load_params())
    done = stage(study, "retriever")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: training: the loss is nan at step 1; a lower learning_rate")
    assert not (study / "models/retriever/lora-13").exists()


def test_another_number_than_the_launchers_is_a_mistake(study: Path) -> None:
    done = stage(study, "reranker", WORLD_SIZE="3", RANK="0", LOCAL_RANK="0")
    assert done.returncode == 1
    assert "error: params.yaml: reranker.processes: 2: expected 3, as many as the launcher" in done.stderr


def test_no_process_outlives_the_one_that_was_started(study: Path) -> None:
    set_params(study, "retriever", steps=100_000)
    parent = subprocess.Popen(
        [sys.executable, *command("retriever")],
        cwd=study,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    curve = study / "metrics/curves/retriever/lora-13/plots"
    while parent.poll() is None and not curve.exists():
        time.sleep(0.05)
    started = psutil.Process(parent.pid).children(recursive=True)
    assert len(started) >= 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []
