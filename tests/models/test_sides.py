"""A bi-encoder whose queries and documents are encoded by different models."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from peftir.models import saving
from peftir.models.biencoder import encode, new_biencoder
from peftir.models.sides import count, transformers_of
from peftir.study.params import MethodParams
from peftir.system.errors import PeftirError
from peftir.tuners import train_mode
from tiny_backbone import write_tiny_bert

TEXTS = ["sort a list", "open the file", "a line of text and a path to it"]
RATES = {"retriever": 1e-3, "reranker": 1e-3}
METHODS: dict[str, dict[str, Any]] = {
    "lora": {"type": "lora", "rank": 3},
    "iaa_l": {"type": "iaa_l", "rank": 2, "aside_rank": 2},
    "full": {"type": "full"},
    "dora": {"type": "lora", "rank": 2, "use_dora": True},
}
PLAIN = """
import sys
import numpy as np
from sentence_transformers import SentenceTransformer
import peftir.tuners
for folder in sys.argv[2:]:
    texts = sys.argv[1].split("/")
    query = SentenceTransformer(folder).encode_query(texts)
    document = SentenceTransformer(f"{folder}/document").encode_document(texts)
    np.savez(f"{folder}.npz", query=query, document=document)
"""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("backbone") / "tiny", " ".join(TEXTS).split())


def new_model(backbone: Path, tune: Any) -> SentenceTransformer:
    model = new_biencoder(str(backbone), pooling="mean", query_length=8, document_length=12, tune=tune)
    return model.eval()


def tuned(backbone: Path, tune: Any, method: dict[str, Any]) -> SentenceTransformer:
    """A model whose trained weights are no longer those that it started with."""
    torch.manual_seed(5)
    model = new_model(backbone, tune)
    saving.attach(model, "tuned", MethodParams.model_validate({**method, "learning_rate": RATES}))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape)
    return model.eval()


def vectors(model: SentenceTransformer) -> tuple[np.ndarray, np.ndarray]:
    return encode(model, TEXTS, "query", "float32"), encode(model, TEXTS, "document", "float32")


@pytest.fixture(scope="module")
def saved(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """By method and sides: the model, its folder, and plain sentence-transformers' vectors."""
    folder, models = tmp_path_factory.mktemp("saved"), {}
    for name, method in METHODS.items():
        for tune in ("query", "separate"):
            model = tuned(backbone, tune, method)
            saving.save(model, folder / f"{name}-{tune}", str(backbone))
            models[name, tune] = (model, folder / f"{name}-{tune}")
    folders = [str(path) for _, path in models.values()]
    subprocess.run([sys.executable, "-c", PLAIN, "/".join(TEXTS), *folders], check=True)
    return {key: (*found, np.load(f"{found[1]}.npz")) for key, found in models.items()}


@pytest.mark.parametrize("tune", ["query", "separate"])
@pytest.mark.parametrize("method", METHODS)
def test_each_side_comes_back_in_a_fresh_process(saved: Any, backbone: Path, method: str, tune: str) -> None:
    model, folder, plain = saved[method, tune]
    queries, documents = vectors(model)
    assert np.array_equal(plain["query"], queries)
    assert np.array_equal(plain["document"], documents)
    loaded = vectors(saving.load(SentenceTransformer, folder))
    assert np.array_equal(loaded[0], queries) and np.array_equal(loaded[1], documents)
    untouched = vectors(new_model(backbone, "both"))
    assert not np.array_equal(queries, untouched[0])
    assert np.array_equal(documents, untouched[1]) == (tune == "query")
    assert not np.array_equal(queries, documents)


def test_the_backbones_weights_are_in_no_adapters_folder(saved: Any, backbone: Path) -> None:
    whole = (backbone / "model.safetensors").stat().st_size
    for (method, tune), (_, folder, _) in saved.items():
        copies = 0 if method != "full" else (1 if tune == "query" else 2)
        assert copies * whole <= saving.stored_bytes(folder) < (copies + 0.5) * whole


@pytest.mark.parametrize(("tune", "sides"), [("both", 1), ("query", 1), ("separate", 2)])
def test_a_budget_is_that_of_both_sides_together(backbone: Path, tune: str, sides: int) -> None:
    model = new_model(backbone, tune)
    rank = saving.attach(model, "v", MethodParams(type="lora", budget=0.2, learning_rate=RATES))["rank"]
    found = count(model)
    per_rank = sides * 2 * 2 * 2 * 32  # two matrices of each of two projections of two layers, hidden size 32
    assert found.trained == rank * per_rank
    assert rank * per_rank <= 0.2 * found.backbone < (rank + 1) * per_rank
    assert found.backbone == count(new_model(backbone, "both")).backbone
    full = new_model(backbone, tune)
    saving.attach(full, "v", MethodParams(type="full", learning_rate=RATES))
    assert count(full).trained == sides * found.backbone


def test_a_budget_that_is_too_small_for_a_side_is_refused(backbone: Path) -> None:
    model = new_model(backbone, "separate")
    with pytest.raises(PeftirError, match=r"methods\.v\.budget: .* \(of each side\)"):
        saving.attach(model, "v", MethodParams(type="lora", budget=0.001, learning_rate=RATES))
    other = MethodParams(type="lora", rank=2, target_modules=["none"], learning_rate=RATES)
    with pytest.raises(PeftirError, match=r"methods\.v\.target_modules: .*") as error:
        saving.attach(new_model(backbone, "separate"), "v", other)
    assert "side" not in str(error.value)


def test_sides_start_equal_and_the_untouched_one_has_no_dropout_and_no_gradient(backbone: Path) -> None:
    torch.manual_seed(3)
    model = new_model(backbone, "query")
    queries, documents = vectors(model)
    assert np.array_equal(queries[:2], documents[:2])  # the third is longer than a query may be
    saving.attach(model, "v", MethodParams(type="lora", rank=2, learning_rate=RATES))
    train_mode(model, backbone=True)
    encoders = transformers_of(model)
    assert {side: any(m.training for m in e.modules()) for side, e in encoders.items()} == {
        "query": True,
        "document": False,
    }
    assert not any(weight.requires_grad for weight in encoders["document"].parameters())


@pytest.mark.parametrize("tune", ["query", "separate"])
def test_sides_share_the_memory_of_what_is_frozen(backbone: Path, tune: str) -> None:
    kept = {}
    for method in ("lora", "full"):
        model = tuned(backbone, tune, METHODS[method])
        weights = list(model.parameters())
        kept[method] = len({weight.data_ptr() for weight in weights if weight.numel()})
        trained = [weight.data_ptr() for weight in weights if weight.requires_grad]
        assert len(set(trained)) == len(trained)
    alone = len(list(new_model(backbone, "both").parameters()))
    added = 2 * 2 * 2 * (1 if tune == "query" else 2)  # two matrices for two projections of two layers
    assert kept == {"lora": alone + added, "full": 2 * alone}


def test_a_text_without_a_side_is_an_error(backbone: Path) -> None:
    with pytest.raises(ValueError, match="Could not determine route"):
        new_model(backbone, "separate").encode(TEXTS)


def test_a_damaged_side_is_an_error_that_names_it(saved: Any, tmp_path: Path) -> None:
    _, folder, _ = saved["lora", "separate"]
    copy = tmp_path / "retriever" / "lora-13"
    shutil.copytree(folder, copy)
    file = copy / "document" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(PeftirError, match=r"document/adapter_model\.safetensors"):
        saving.load(SentenceTransformer, copy)
