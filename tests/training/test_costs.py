"""What training costs: memory by what it holds, tokens, and operations."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

from lessons import training_data
from peftir.models.biencoder import new_biencoder
from peftir.models.loading import Loading
from peftir.training.costs import Costs, StepMemory, StepMeter, TextsRead, step_memory
from peftir.training.fitting import _costs
from peftir.training.operations import PEAKS, forward_operations, peak_of, training_operations
from tiny_backbone import write_tiny_bert
from together import QRELS, QUERIES, TEXTS, WORDS, Lesson, backward_in, batches, new_model


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("backbone") / "tiny", WORDS)


def test_memory_is_what_the_tensors_take() -> None:
    """Ten weights in float64, six of them trained, and a buffer of two numbers in float32.

    Three more are trained, but no loss depends on them: they have neither a gradient nor a state.
    """
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 3, bias=False)).double()
    model[0].requires_grad_(False)
    model.register_buffer("seen", torch.zeros(2))
    model.unused = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights)
    model[1](model[0](torch.ones(1, 2, dtype=torch.float64))).sum().backward()
    optimizer.step()
    best = [weight.detach().clone() for weight in weights]
    found = step_memory(model, optimizer, best, peak=None)
    # AdamW has two averages and, in float32, its step.
    assert found == StepMemory(
        weights=13 * 8 + 8, gradients=6 * 8, optimizer=2 * 6 * 8 + 4, best_step=9 * 8, activations=None
    )
    known = 112 + 48 + 100 + 72
    assert step_memory(model, optimizer, best, peak=known + 1000) == replace(found, activations=1000)
    assert found.figures()["activations"] is None


def test_memory_that_two_sides_share_counts_once() -> None:
    query, document = nn.Linear(2, 3, bias=False), nn.Linear(2, 3, bias=False)
    document.weight.data = query.weight.data
    trained = nn.Linear(2, 2, bias=False)
    optimizer = torch.optim.AdamW(trained.parameters())
    found = step_memory(nn.ModuleList([query, document, trained]), optimizer, [], peak=None)
    assert found.weights == (2 * 3 + 2 * 2) * 4


WAYS: list[dict[str, Any]] = [
    {},
    {"mini_batch_size": 3},
    {"mini_batch_size": 9, "gradient_checkpointing": True},
]


@pytest.mark.parametrize(
    ("stage", "way"),
    [
        *product(["retriever", "reranker"], WAYS),
        *(("retriever", {"tune": "query"} | way) for way in WAYS[:2]),
    ],
)
def test_each_token_of_a_batch_counts_once(
    stage: str, way: dict[str, Any], backbone: Path, tmp_path: Path
) -> None:
    """However often it is encoded, and without the tokens of padding or of an evaluation.

    Where queries alone are tuned, the documents' side is counted by itself.
    """
    lesson = Lesson(stage, "full", backbone, tmp_path, **way)
    data = training_data(tmp_path / "collection", QUERIES, TEXTS, QRELS)
    model, drawn = new_model(lesson), batches(lesson, data)
    names = data.sampler.documents.to_pylist()
    lengths, untouched = [], []
    for each in drawn[0]:
        query = len(QUERIES[each.query].split())
        documents = [len(TEXTS[names[number]].split()) for number in each.documents]
        if stage == "reranker":
            lengths += [query + document + 3 for document in documents]
        else:
            lengths.append(query + 2)
            side = untouched if lesson.tune == "query" else lengths
            side += [document + 2 for document in documents]
    backward, meter = backward_in(model, lesson, data, drawn), StepMeter()
    with meter.counting(model):
        with meter.step():
            backward(drawn[0])
        ones = torch.ones(2, 3, dtype=int)
        named = {} if stage == "reranker" else {"task": "document"}
        with torch.no_grad():
            model({"input_ids": ones, "attention_mask": ones}, **named)
    backward(drawn[0])
    assert meter.read() == tuple(
        (sum(side), sum(length**2 for length in side)) for side in (lengths, untouched)
    )


def test_operations_are_those_that_torch_counts(backbone: Path) -> None:
    """A step of all weights, two texts of seven tokens; where torch knows what a kernel computes."""
    model = AutoModel.from_pretrained(backbone, attn_implementation="eager")
    ids = torch.arange(5, 12).repeat(2, 1) % model.config.vocab_size
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids).last_hidden_state.sum().backward()
    pooler = 2 * 2 * 32 * 32  # for the first token of each text, which no loss depends on
    read = TextsRead(tokens=14, squares=2 * 7**2)
    assert training_operations(model, read) == counter.get_total_flops() - pooler
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(input_ids=ids)
    assert forward_operations(model, read) == counter.get_total_flops() - pooler


def test_frozen_matrices_have_no_gradient_of_their_own(backbone: Path) -> None:
    model = AutoModel.from_pretrained(backbone)
    everything = training_operations(model, TextsRead(10, 0))
    model.requires_grad_(False)
    assert training_operations(model, TextsRead(10, 0)) == pytest.approx(everything * 2 / 3)


@pytest.mark.parametrize(("weights", "expected"), [("float32", 19.5e12), ("bfloat16", 312e12)])
def test_mfu_is_the_share_of_the_peak_of_the_products_format(
    weights: str, expected: float, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``backbone.precision`` is float32; products of bfloat16 weights are in bfloat16 all the same."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA A100-SXM4-80GB")
    sizes: dict[str, Any] = {"query_length": 8, "document_length": 16, "loading": Loading(weights)}  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        model = new_biencoder(str(backbone), pooling="mean", **sizes)
    read, nothing = TextsRead(10**9, 0), TextsRead(0, 0)
    costs = Costs(StepMemory(0, 0, 0, 0, None), read, nothing, seconds=1.0)
    found = _costs(model, costs, "float32")["mfu"]
    assert found == pytest.approx(training_operations(model[0].model, read) / expected, abs=1e-4)


def test_the_peak_is_that_of_the_gpu_by_its_name() -> None:
    assert peak_of("NVIDIA H200", "bfloat16") == PEAKS["H200"]["bfloat16"]
    assert peak_of("NVIDIA A100-SXM4-80GB", "float32") == 19.5e12
    assert peak_of("NVIDIA L40S", "bfloat16") == PEAKS["L40S"]["bfloat16"]
    for unknown in ("NVIDIA L40", "NVIDIA H200 NVL", "NVIDIA H200 MIG 1g.18gb", "NVIDIA GeForce RTX 4090"):
        assert peak_of(unknown, "bfloat16") is None
