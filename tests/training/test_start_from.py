"""A training that goes on from an adapter which was trained before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from peftir.models import saving
from peftir.models.backbone import record_of
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.study.params import MethodParams
from peftir.system.errors import PeftirError
from peftir.tuners import METHODS
from tiny_backbone import write_tiny_bert
from together import KNOBS

WORDS = ["sort", "list", "open"]
STARTING = [name for name in METHODS if name not in ("zero_shot", "full")]
RATES = {"retriever": 1e-3, "reranker": 1e-3}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("backbone") / "tiny", WORDS)


def attached(backbone: Path, stage: str, method: str, tune: Any = "both", **knobs: Any) -> Any:
    """A new model with a method that was attached with another seed each time."""
    if stage == "reranker":
        model: Any = new_crossencoder(str(backbone), length=16)
    else:
        model = new_biencoder(str(backbone), pooling="mean", query_length=8, document_length=8, tune=tune)
    given = {"type": method, "learning_rate": RATES, **(knobs or KNOBS.get(method, {"rank": 4}))}
    saving.attach(model, "tuned", MethodParams.model_validate(given))
    return model


def trained_weights(model: Any) -> dict[str, Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def saved(model: Any, folder: Path, backbone: Path) -> dict[str, Tensor]:
    """Save ``model`` with other weights than it started with, and give these."""
    weights = trained_weights(model)
    with torch.no_grad():
        for weight in weights.values():
            weight += torch.randn(weight.shape)
    saving.save(model, folder, str(backbone))
    return weights


def start_from(model: Any, folder: Path, backbone: Path) -> None:
    saving.start_from(model, "tuned", folder, record_of(str(backbone), None))


@pytest.mark.parametrize("method", STARTING)
@pytest.mark.parametrize("stage", ["retriever", "reranker"])
def test_the_weights_are_those_that_were_trained(
    stage: str, method: str, backbone: Path, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    before = saved(attached(backbone, stage, method), tmp_path / "model", backbone)
    model = attached(backbone, stage, method)
    assert any(not torch.equal(weight, before[name]) for name, weight in trained_weights(model).items())
    start_from(model, tmp_path / "model", backbone)
    now = trained_weights(model)
    assert now.keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in now.items())


@pytest.mark.parametrize("tune", ["query", "separate"])
def test_each_side_goes_on_from_its_own(tune: str, backbone: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = saved(attached(backbone, "retriever", "lora", tune), tmp_path / "model", backbone)
    model = attached(backbone, "retriever", "lora", tune)
    start_from(model, tmp_path / "model", backbone)
    assert all(torch.equal(weight, before[name]) for name, weight in trained_weights(model).items())
    with pytest.raises(PeftirError, match=r"expected a model that was trained with the same retriever\.tune"):
        start_from(attached(backbone, "retriever", "lora"), tmp_path / "model", backbone)


def test_another_backbone_method_or_size_is_a_line(backbone: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    saved(attached(backbone, "retriever", "lora"), tmp_path / "model", backbone)
    other = write_tiny_bert(tmp_path / "other", [*WORDS, "another"])
    model = attached(other, "retriever", "lora")
    with pytest.raises(PeftirError, match=r"methods\.tuned\.start_from: .* was trained on another backbone"):
        start_from(model, tmp_path / "model", other)
    with pytest.raises(PeftirError, match=r"start_from: .*: lora_alpha is 8, the method's is 4"):
        start_from(attached(backbone, "retriever", "lora", rank=2), tmp_path / "model", backbone)
    with pytest.raises(PeftirError, match=r"start_from: .*: peft_type is 'LORA', the method's is 'PEFTIR_AD"):
        start_from(attached(backbone, "retriever", "adapter"), tmp_path / "model", backbone)
    with pytest.raises(PeftirError, match=r"tiny: no adapter_config\.json; expected the folder"):
        start_from(attached(backbone, "retriever", "lora"), backbone, backbone)
    with pytest.raises(ValueError, match="no start_from, since full has no adapter"):
        MethodParams.model_validate(
            {"type": "full", "learning_rate": RATES, "start_from": {"retriever": "a folder"}}
        )
