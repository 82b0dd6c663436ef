"""Trained models travel: small folders, the same bytes each time, the same scores in a fresh process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir.models.backbone import backbone_folder, link_wheels
from peftir.models.saving import load, stored_bytes
from peftir.system.errors import PeftirError
from tuned_models import BACKBONE, VARIANTS

KINDS = {"retriever": SentenceTransformer, "reranker": CrossEncoder}
MODELS = [f"{kind}/{name}" for kind in KINDS for name in VARIANTS]
SCRIPT = Path(__file__).parents[1] / "tuned_models.py"


@dataclass(frozen=True)
class Made:
    """What two processes made, one after the other, under different hash seeds."""

    folder: Path
    first: dict[str, Any]
    second: dict[str, Any]


def run(seed: str, *folders: Path) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, folders)]
    done = subprocess.run(
        command, env=environment, cwd=folders[0].parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    root = tmp_path_factory.mktemp("models")
    link_wheels(root)  # plain sentence-transformers finds the backbone there, offline
    yield Made(root / "one", run("1", root / "one"), run("2", root / "two", root / "one"))
    shutil.rmtree(root)


def files_of(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]


def linked_copy(source: Path, target: Path, without: str) -> None:
    """A copy that takes no space; the file ``without`` is left out."""
    shutil.copytree(source, target, copy_function=os.link)
    (target / without).unlink()


@pytest.mark.parametrize("model", MODELS)
def test_a_fresh_process_gives_the_same_scores_to_the_last_bit(made: Made, model: str) -> None:
    assert made.second["scores"][model] == made.first["scores"][model]


def test_scores_tell_models_and_texts_apart(made: Made) -> None:
    assert len({json.dumps(scores) for scores in made.first["scores"].values()}) == len(MODELS)
    for scores in made.first["scores"].values():
        assert np.isfinite(scores).all()
        assert len({json.dumps(score) for score in scores}) > 1


@pytest.mark.parametrize("model", MODELS)
def test_saved_again_and_under_another_hash_seed_the_bytes_are_the_same(made: Made, model: str) -> None:
    first, again = made.first["hashes"][model]
    assert sorted(first) == files_of(made.folder / model)
    assert again == first
    assert made.second["hashes"][model] == [first, first]


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_safetensors_and_nothing_else_could_run(made: Made, model: str) -> None:
    weights = "model.safetensors" if model.endswith("full") else "adapter_model.safetensors"
    assert {name for name in files_of(made.folder / model) if Path(name).suffix not in (".json", ".txt")} == {
        weights
    }


@pytest.mark.parametrize("model", [model for model in MODELS if not model.endswith("full")])
def test_the_folder_holds_the_adapter_and_not_the_backbone(made: Made, model: str) -> None:
    backbone = stored_bytes(backbone_folder(BACKBONE))
    assert 0 < stored_bytes(made.folder / model) < backbone / 100
    config = json.loads((made.folder / model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == BACKBONE


@pytest.mark.parametrize("kind", KINDS)
def test_full_fine_tuning_holds_every_weight(made: Made, kind: str) -> None:
    # The backbone's own file also holds 512 position numbers, which are no weights.
    backbone = stored_bytes(backbone_folder(BACKBONE))
    assert stored_bytes(made.folder / kind / "full") == pytest.approx(backbone, rel=1e-4)


@pytest.mark.parametrize("model", ["retriever/lora", "retriever/full", "reranker/iaa_l", "reranker/full"])
def test_any_file_cut_short_is_an_error_that_names_it(made: Made, tmp_path: Path, model: str) -> None:
    folder = tmp_path / "model"
    for name in files_of(made.folder / model):
        content = (made.folder / model / name).read_bytes()
        for left in (0, len(content) // 2):
            linked_copy(made.folder / model, folder, without=name)
            (folder / name).write_bytes(content[:left])
            with pytest.raises(PeftirError) as caught:
                load(KINDS[model.split("/")[0]], folder)
            message = str(caught.value)
            parsed = name.endswith((".json", ".safetensors"))
            assert message.startswith(f"{folder / name if parsed else folder}: "), name
            assert "dvc" not in message  # no stage writes this folder
            assert "\n" not in message
            shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_an_error_that_names_it(made: Made, tmp_path: Path, kind: str) -> None:
    with pytest.raises(PeftirError, match=r"none: no trained model here; expected one that peftir saved"):
        load(KINDS[kind], tmp_path / "none")
    for folder, maker in (
        ("models/mining/first", "train_miner@first"),
        (f"models/{kind}/adapter-13", f"train_{kind}@adapter-13"),
    ):
        with pytest.raises(PeftirError, match=rf"no trained model here; `dvc repro {maker}` makes it"):
            load(KINDS[kind], tmp_path / folder, tmp_path)
        linked_copy(made.folder / kind / "adapter", tmp_path / folder, without="manifest.json")
        (tmp_path / folder / "manifest.json").write_text("{")
        with pytest.raises(PeftirError, match=rf"`dvc repro --force --single-item {maker}`$"):
            load(KINDS[kind], tmp_path / folder, tmp_path)
    for weights in ("adapter_model.safetensors", "adapter_config.json"):
        folder = tmp_path / weights
        linked_copy(made.folder / kind / "adapter", folder, without=weights)
        with pytest.raises(PeftirError) as caught:
            load(KINDS[kind], folder)
        assert str(caught.value).startswith(f"{folder}: ")
