"""An experiment in a folder of its own, as DVC's queue runs it, leaves a model that the study can use."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from sentence_transformers import SentenceTransformer
from small_study import Study, clone, environment

from peftir.models import saving
from peftir.models.biencoder import encode
from test_benchmarks import WORDS, write_toy_study
from tiny_backbone import write_tiny_bert


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """One training on a backbone that lies in the study's folder, all it needs in git."""
    root = clone(tmp_path / "study")
    write_toy_study(root)
    write_tiny_bert(root / "mine", WORDS)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["backbone"]["name"] = "mine"
    del params["methods"]["lora"]["budget"]
    params["methods"]["lora"]["rank"] = 2
    params["variants"] = {"untrained": [], "retriever": ["lora"], "reranker": ["lora"]}
    params["seeds"] = {"retriever": [13], "reranker": [13]}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    kept = {name: stages[name] for name in ("backbone", "train_retriever")}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": kept}, sort_keys=False))
    (root / "dvc.lock").unlink()
    study = Study(root, environment(root, models=tmp_path / "models"))
    study.run("git", "add", "--force", "data", "runs", "mine")
    done = study.run(
        "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--all", "--message", "toy"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return study


@pytest.mark.pipeline
@pytest.mark.skipif(
    not sys.prefix.isascii(), reason="dvc exp run --temp fails where the path of the environment is not ASCII"
)
def test_a_backbone_in_the_study_is_found_when_the_experiments_folder_is_gone(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.dvc("exp", "run", "--temp", "--name", "tried", "--set-param", "retriever.steps=2")
    assert not (study.root / "models").exists()
    study.dvc("exp", "apply", "tried")
    assert study.dvc("status").strip() == "Data and pipelines are up to date."
    assert json.loads((study.root / "backbone.lock").read_text())["name"] == "mine"
    monkeypatch.chdir(study.root)
    folder = Path("models/retriever/lora-13")
    model, plain = saving.load(SentenceTransformer, folder), SentenceTransformer(str(folder))
    vectors = encode(model.double(), ["a text"], "document", "float32")
    assert np.allclose(plain.double().encode_document(["a text"]), vectors, rtol=0, atol=1e-12)
