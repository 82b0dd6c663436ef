"""Models of all families travel: tuned, saved, and loaded by sentence-transformers in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import ADMITTED, ALL, CONFIGS, FURTHER
from sentence_transformers import CrossEncoder
from tiny import stir

from family_backbones import DECODERS, TEXTS, write_backbone
from peftir import tuners
from peftir.models import saving
from peftir.models.biencoder import encode, new_biencoder
from peftir.models.crossencoder import new_crossencoder, score

CAUSAL = ("llama", "qwen3")
STAGES = ("retriever", "reranker")
FEW = ("full", "lora", "iaa_l", "iaa_s_mam")
"""What of the encoders is tried here; tests/tuners saves and loads all methods in all of them."""

MODELS = [
    f"{family}/{case}/{stage}"
    for family in CONFIGS
    for case in ALL
    for stage in STAGES
    if (family, case) in ADMITTED or case in ("full", "zero_shot")
    if family in CAUSAL or case in FEW
] + [
    f"{family}/iaa_l/{stage}"
    for family in FURTHER
    for stage in STAGES
    if (family, stage) != ("t5", "reranker")
]
PAIRS = [(TEXTS[0], text) for text in TEXTS]

IN_A_FRESH_PROCESS = """
import json, sys
from sentence_transformers import CrossEncoder, SentenceTransformer
import peftir.tuners
asked = json.load(sys.stdin)
assert not [name for name in sys.modules if name.startswith("peftir.models")]
print(json.dumps({
    name: CrossEncoder(folder).predict(asked["pairs"]).tolist() if name.endswith("reranker")
    else SentenceTransformer(folder).encode(asked["texts"]).tolist()
    for name, folder in asked["folders"].items()
}))
"""


def new(stage: str, backbone: Path) -> Any:
    torch.manual_seed(6)
    if stage == "reranker":
        return new_crossencoder(str(backbone), length=24)
    pooling = "last" if backbone.name in DECODERS else "mean"
    return new_biencoder(str(backbone), pooling=pooling, query_length=20, document_length=20)


def tune(model: Any, case: str) -> Any:
    type, knobs = ALL[case]
    tuners.attach(saving.transformer_of(model), type, **knobs)
    stir((weight for weight in model.parameters() if weight.requires_grad), size=0.2)
    return model.eval()


def plain_scores(model: Any, stage: str) -> list[Any]:
    return (model.predict(PAIRS) if stage == "reranker" else model.encode(TEXTS)).tolist()


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("backbones")
    return {family: write_backbone(root / family, family) for family in CONFIGS | FURTHER}


@pytest.fixture(scope="module")
def made(
    backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scores of each model before it was saved, and after that in a fresh process."""
    root = tmp_path_factory.mktemp("models")
    before: dict[str, Any] = {}
    folders: dict[str, str] = {}
    for name in MODELS:
        family, case, stage = name.split("/")
        model = tune(new(stage, backbones[family]), case)
        before[name] = plain_scores(model, stage)
        saving.save(model, root / name, str(backbones[family]))
        folders[name] = str(root / name)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        input=json.dumps({"folders": folders, "texts": TEXTS, "pairs": PAIRS}),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return before, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", MODELS)
def test_a_fresh_process_gives_the_same_scores(
    made: tuple[dict[str, Any], dict[str, Any]], name: str
) -> None:
    before, after = made
    assert after[name] == before[name]
    assert np.ptp(np.array(after[name]), axis=0).max() > 1e-3  # it tells the texts apart


@pytest.mark.parametrize("stage", STAGES)
def test_doras_magnitudes_travel(backbones: dict[str, Path], tmp_path: Path, stage: str) -> None:
    model = new(stage, backbones["bert"])
    dora = {"peft_type": "LORA", "r": 3, "use_dora": True, "target_modules": "all-linear"}
    tuners.attach(saving.transformer_of(model), "peft", config=dora)
    stir((weight for weight in model.parameters() if weight.requires_grad), size=0.2)
    expected = plain_scores(model.eval(), stage)
    saving.save(model, tmp_path / "model", str(backbones["bert"]))
    kind = saving.MODEL_TYPES[stage]
    loaded = saving.load(kind, tmp_path / "model")
    assert plain_scores(loaded, stage) == expected
    # Without the checks of peftir, in float64; a CrossEncoder gives its scores as 32-bit floats.
    found, wanted = (plain_scores(each.double(), stage) for each in (kind(str(tmp_path / "model")), model))
    np.testing.assert_allclose(found, wanted, rtol=2**-23, atol=1e-12)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", ["zero_shot", "lora", "prefix", "mam"])
@pytest.mark.parametrize("family", CAUSAL)
def test_a_decoders_numbers_do_not_depend_on_the_texts_beside(
    backbones: dict[str, Path], family: str, case: str, stage: str
) -> None:
    model = tune(new(stage, backbones[family]), case).double()
    if stage == "reranker":
        together = score(model, PAIRS, "float32")
        alone = np.concatenate([score(model, [pair], "float32") for pair in PAIRS])
    else:
        together = encode(model, TEXTS, "document", "float32")
        alone = np.concatenate([encode(model, [text], "document", "float32") for text in TEXTS])
    # In units of the largest: these families compute norms in float32, whatever the weights are in.
    assert np.abs(together - alone).max() <= 1e-5 * max(1, np.abs(alone).max())


def test_a_reranker_keeps_its_one_score_on_a_backbone_that_names_three_labels(tmp_path: Path) -> None:
    backbone = write_backbone(tmp_path / "bert", "bert")
    config = json.loads((backbone / "config.json").read_text())
    config |= {"id2label": {str(i): f"{i}" for i in range(3)}, "label2id": {f"{i}": i for i in range(3)}}
    (backbone / "config.json").write_text(json.dumps(config))
    model = tune(new("reranker", backbone), "lora")
    saving.save(model, tmp_path / "model", str(backbone))
    loaded = CrossEncoder(str(tmp_path / "model"))
    assert plain_scores(loaded, "reranker") == plain_scores(model, "reranker")
