"""Weights are float32 whatever format a backbone's file has, and bfloat16 is the encoder's alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor
from transformers import AutoModel

from lessons import example, loss_of, training_data
from peftir.models import saving
from peftir.models.biencoder import encode, new_biencoder
from peftir.models.crossencoder import new_crossencoder, score
from peftir.models.loading import refuse_other_formats
from peftir.models.precision import computing_in
from peftir.study.params import MethodParams
from peftir.system.errors import PeftirError
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from tiny_backbone import write_tiny_bert

QUERIES = {"q0": "sort a list", "q1": "open file"}
DOCUMENTS = {
    "d0": "numbers of items each once",
    "d1": "close a window",
    "d2": "draw line",
    "d3": "write text",
}
BATCH = [("q0", "d0", "d2"), ("q1", "d1", "d3")]
QRELS = {"q0": {"d0": 1}, "q1": {"d1": 1}}
WORDS = " ".join([*QUERIES.values(), *DOCUMENTS.values()]).split()
PAIRS = [(query, document) for query in QUERIES.values() for document in DOCUMENTS.values()]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One backbone, its weights rounded to bfloat16, stored in that format and in float32."""
    folders = {}
    for dtype in (torch.bfloat16, torch.float32):
        folder = write_tiny_bert(tmp_path_factory.mktemp("backbone"), WORDS)
        AutoModel.from_pretrained(folder, dtype=torch.bfloat16).to(dtype).save_pretrained(folder)
        folders[str(dtype).removeprefix("torch.")] = folder
    assert {w.dtype for w in load_file(folders["bfloat16"] / "model.safetensors").values()} == {
        torch.bfloat16
    }
    return folders


def new(kind: str, backbone: Path) -> Any:
    torch.manual_seed(1)
    if kind == "retriever":
        return new_biencoder(str(backbone), pooling="mean", query_length=8, document_length=12)
    return new_crossencoder(str(backbone), length=16)


def loss_on(kind: str, model: Any, folder: Path) -> Callable[[], Tensor]:
    """The loss of ``BATCH``, as a function of the weights as they stand."""
    data = training_data(folder / "collection", QUERIES, DOCUMENTS, QRELS)
    examples = [example(data, *ids) for ids in BATCH]
    loss = RetrieverLoss(model, data.sampler, 0.05) if kind == "retriever" else RerankerLoss(model)
    of = loss_of(data, [examples], loss)
    return lambda: of(examples)


def numbers(kind: str, model: Any, precision: str = "float32") -> np.ndarray:
    if kind == "retriever":
        return encode(model, [*DOCUMENTS.values()], "document", precision)
    return score(model, PAIRS, precision)


def trained(kind: str, backbone: Path, type: str, folder: Path) -> Any:
    """A model after three steps at a rate so small that bfloat16 weights would not move."""
    model = new(kind, backbone)
    knobs = {"rank": 2} if type == "lora" else {}
    saving.attach(
        model, type, MethodParams(type=type, **knobs, learning_rate={"retriever": 1e-5, "reranker": 1e-5})
    )
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], 1e-5)
    loss = loss_on(kind, model, folder)
    for _ in range(3):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("type", ["full", "lora"])
@pytest.mark.parametrize("kind", ["retriever", "reranker"])
def test_a_backbone_stored_in_bfloat16_trains_as_its_float32_copy(
    stored: dict[str, Path], tmp_path: Path, kind: str, type: str
) -> None:
    models = {dtype: trained(kind, folder, type, tmp_path / dtype) for dtype, folder in stored.items()}
    weights = {dtype: model.state_dict() for dtype, model in models.items()}
    assert all(torch.equal(weight, weights["float32"][name]) for name, weight in weights["bfloat16"].items())
    assert {w.dtype for w in models["bfloat16"].parameters()} == {torch.float32}
    # Saved, loaded by peftir and by sentence-transformers alone, it still is.
    load = SentenceTransformer if kind == "retriever" else CrossEncoder
    saving.save(models["bfloat16"], tmp_path / "model", str(stored["bfloat16"]))
    for loaded in (saving.load(load, tmp_path / "model"), load(str(tmp_path / "model"))):
        assert {w.dtype for w in loaded.parameters()} == {torch.float32}
        assert numbers(kind, loaded).tobytes() == numbers(kind, models["float32"]).tobytes()


def test_weights_of_another_format_are_refused(stored: dict[str, Path]) -> None:
    model = new("retriever", stored["float32"])
    model[0].model.encoder.layer[1].output.dense.half()
    with pytest.raises(
        PeftirError, match=r"^mine: weight \S*layer\.1\.output\.dense\.weight is float16, expec"
    ):
        refuse_other_formats(model, "mine", "float32")


def test_a_model_that_is_loaded_otherwise_than_it_was_saved_is_an_error(
    stored: dict[str, Path], tmp_path: Path
) -> None:
    saving.save(new("retriever", stored["float32"]), tmp_path / "model", str(stored["float32"]))
    saving.load(SentenceTransformer, tmp_path / "model")
    file = tmp_path / "model" / "sentence_bert_config.json"
    content = json.loads(file.read_text())
    content["model_kwargs"]["attn_implementation"] = "eager"
    file.write_text(json.dumps(content))
    with pytest.raises(
        PeftirError, match=r"manifest\.json: weights\.attention is 'sdpa', loaded was 'eager'"
    ):
        saving.load(SentenceTransformer, tmp_path / "model")


def test_the_backbones_files_choose_neither_attention_nor_padding(
    stored: dict[str, Path], tmp_path: Path
) -> None:
    other = write_tiny_bert(tmp_path / "other", WORDS)
    for name, changes in (
        ("config.json", {"attn_implementation": "eager"}),
        ("tokenizer_config.json", {"padding_side": "left"}),
    ):
        file = other / name
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    (other / "model.safetensors").unlink()
    save_file(
        load_file(stored["float32"] / "model.safetensors"), other / "model.safetensors", {"format": "pt"}
    )
    for kind in ("retriever", "reranker"):
        assert (
            numbers(kind, new(kind, other)).tobytes() == numbers(kind, new(kind, stored["float32"])).tobytes()
        )


@contextmanager
def recording(model: Any, seen: dict[str, set[torch.dtype]]) -> Iterator[None]:
    """Collect the formats that modules with weights of their own compute in."""
    handles = [
        module.register_forward_hook(
            lambda module, args, output, name=name: seen.setdefault(name, set()).add(output.dtype)
        )
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    yield
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("kind", ["retriever", "reranker"])
def test_bfloat16_is_the_encoders_alone(stored: dict[str, Path], tmp_path: Path, kind: str) -> None:
    model, seen = new(kind, stored["float32"]), dict[str, set[torch.dtype]]()
    loss_now = loss_on(kind, model, tmp_path)
    with recording(model, seen), computing_in(model, "bfloat16"):
        loss = loss_now()
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert loss.dtype == torch.float32
    head = {name for name in seen if "classifier" in name or ("pooler" in name and kind == "reranker")}
    assert len(head) == (2 if kind == "reranker" else 0)
    encoder = {name for name in seen if "encoder.layer" in name}
    assert {dtype for name in encoder for dtype in seen[name]} == {torch.bfloat16}
    assert {dtype for name in head for dtype in seen[name]} <= {torch.float32}
    # Afterwards it is as before.
    seen.clear()
    with recording(model, seen):
        loss_now()
    assert {dtype for formats in seen.values() for dtype in formats} == {torch.float32}


def test_pooling_and_head_of_bfloat16_states_are_those_of_float32(stored: dict[str, Path]) -> None:
    """What follows the encoder, by hand in float64, from the very hidden states that it gives in bfloat16."""
    model = new("retriever", stored["float32"]).eval()
    tokens = model.tokenizer(["sort a list of numbers"], return_tensors="pt")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        states = model[0].model(**tokens).last_hidden_state.double()
    mean = states.mean(dim=1)
    expected = (mean / mean.norm()).numpy()
    found = encode(model, ["sort a list of numbers"], "query", "bfloat16")
    # Float32 has 2^-24 for each of some ten roundings at numbers up to 1; bfloat16 would have 2^-9.
    assert np.abs(found - expected).max() < 2**-20


def test_scores_in_bfloat16_are_not_rounded_to_it(stored: dict[str, Path]) -> None:
    scores = torch.from_numpy(score(new("reranker", stored["float32"]), PAIRS, "bfloat16"))
    assert (scores != scores.bfloat16().float()).all()
