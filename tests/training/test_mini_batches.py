"""A step in mini-batches, with layers computed twice, or by two processes is the step of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_cases import CONFIGS, knobs
from safetensors.torch import load_file, save_file
from tiny import stir
from torch import Tensor, nn

from peftir.models.precision import computing_in
from peftir.training.checkpoint import Checkpoint
from peftir.training.data import TrainingData
from peftir.training.distributed import launch, rank
from peftir.training.gradient_caching import cached_backward
from peftir.training.loop import train
from peftir.training.settings import Settings
from peftir.tuners import METHODS
from peftir.tuners.peft_types import HEADLESS, PEFT_MODEL_ONLY
from tiny_backbone import write_tiny_bert
from together import (
    WORDS,
    Lesson,
    backward_in,
    batches,
    data_in,
    gradients_of,
    new_model,
    start,
)

STAGES = ("retriever", "reranker")

# The unit of float64, 2e-16, times the numbers that are added up on the way, some 1e4 of each, with a margin.
ROUNDING = 1e-10

# The unit of float32, 6e-8, times 160.
FLOAT32_ROUNDING = 1e-5

LOSSES = [("retriever", "margin_mse"), ("retriever", "kl"), ("reranker", "ranknet"), ("reranker", "hinge")]
PEFT_CASES = [
    (stage, kind)
    for kind, stage in product(CONFIGS, STAGES)
    if kind not in PEFT_MODEL_ONLY and (stage == "retriever" or kind not in HEADLESS)
]
IN_FLOAT32 = ("C3A", "DEFT", "FOURIERFT")
"""PEFT computes a part of these in float32 where all weights are float64."""

TRAINED = [name for name in METHODS if name != "zero_shot"]

# The first batch has 5 queries; of a retriever 10 documents, of a re-ranker 4 for each query.
WAYS: dict[str, dict[str, Any]] = {
    "a mini-batch smaller than a query's documents": {"mini_batch_size": 3},
    "mini-batches": {"mini_batch_size": 9},
    "checkpointing": {"gradient_checkpointing": True},
    "both": {"mini_batch_size": 3, "gradient_checkpointing": True},
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("backbone") / "tiny", WORDS)


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 0.0) -> None:
    """Gradients are equal up to ``tolerance``, a share of the largest."""
    assert list(found) == list(expected)
    largest = max(float(tensor.abs().max()) for tensor in expected.values())
    far = {name: float((found[name] - expected[name]).abs().max()) for name in expected}
    assert {name: by for name, by in far.items() if by > tolerance * largest} == {}


def rounding(lesson: Lesson) -> float:
    """How far gradients may be from each other, as a share of the largest."""
    kind = lesson.knobs["config"]["peft_type"] if lesson.knobs else None
    return FLOAT32_ROUNDING if kind in IN_FLOAT32 else ROUNDING


def steps(
    lesson: Lesson, *ways: dict[str, Any], precision: str = "float32", data: TrainingData | None = None
) -> list[dict[str, Tensor]]:
    """The loss and the gradients of one batch by each way, from the same weights and random state."""
    data = data or data_in(lesson.out / "collection")
    drawn, model = batches(lesson, data), new_model(lesson).train()
    stir(weight for weight in model.parameters() if weight.requires_grad)
    if precision == "bfloat16":
        model.float()
    found = []
    for way in ways:
        torch.manual_seed(3)
        taken = replace(lesson, **way)
        backward = backward_in(model, taken, data, drawn)
        with computing_in(model, precision):
            found.append(gradients_of(model, backward, drawn[0], taken.gradient_checkpointing))
    return found


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("stage", STAGES)
def test_the_gradients_are_those_of_the_whole_batch(
    stage: str, method: str, backbone: Path, tmp_path: Path
) -> None:
    plain, *others = steps(Lesson(stage, method, backbone, tmp_path), {}, *WAYS.values())
    assert sum(bool(gradient.any()) for gradient in plain.values()) >= 2
    for other in others:
        assert_equal(other, plain, ROUNDING)


@pytest.mark.parametrize(("stage", "kind"), PEFT_CASES)
def test_the_gradients_of_pefts_types_are_those_of_the_whole_batch(
    stage: str, kind: str, backbone: Path, tmp_path: Path
) -> None:
    lesson = Lesson(stage, "peft", backbone, tmp_path, knobs=knobs(kind))
    plain, *others = steps(lesson, {}, WAYS["mini-batches"], WAYS["checkpointing"])
    assert sum(bool(gradient.any()) for gradient in plain.values()) >= 2
    for other in others:
        assert_equal(other, plain, rounding(lesson))


@pytest.mark.parametrize(("stage", "loss"), LOSSES)
def test_the_gradients_of_the_other_losses_are_those_of_the_whole_batch(
    stage: str, loss: str, backbone: Path, tmp_path: Path
) -> None:
    plain, *others = steps(Lesson(stage, "lora", backbone, tmp_path, loss=loss), {}, *WAYS.values())
    [usual] = steps(Lesson(stage, "lora", backbone, tmp_path), {})
    assert float(plain["loss"]) != float(usual["loss"])
    assert sum(bool(gradient.any()) for gradient in plain.values()) >= 2
    for other in others:
        assert_equal(other, plain, ROUNDING)


def test_two_processes_have_the_gradients_of_the_whole_batch(backbone: Path, tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [{"stage": s, "method": m} for s, m in product(STAGES, TRAINED)]
    # Each type of PEFT at one of the stages, and each method with one of the ways to tune the sides.
    kinds = [kind for stage, kind in PEFT_CASES if stage == "reranker"]
    cases += [
        {"stage": STAGES[number % 2], "method": "peft", "knobs": knobs(kind)}
        for number, kind in enumerate(kinds)
    ]
    cases += [
        {"stage": "retriever", "method": method, "tune": ("query", "separate")[number % 2]}
        for number, method in enumerate(TRAINED)
    ]
    cases += [{"stage": stage, "method": "lora", "loss": loss} for stage, loss in LOSSES]

    def lessons(folder: str, **way: Any) -> list[Lesson]:
        made = [
            Lesson(backbone=backbone, out=tmp_path / folder / str(number), **case, **way)
            for number, case in enumerate(cases)
        ]
        for lesson in made:
            lesson.out.mkdir(parents=True)
        return made

    alone, together = lessons("alone"), lessons("together", **WAYS["both"])
    all_gradients(alone)
    launch(all_gradients, (together,), 2, "retriever.processes")
    for one, two in zip(alone, together, strict=True):
        plain, first, second = (
            load_file(path)
            for path in (one.out / "0.safetensors", *(two.out / f"{n}.safetensors" for n in (0, 1)))
        )
        assert_equal(second, first)
        assert_equal(first, plain, rounding(one))


def all_gradients(lessons: list[Lesson]) -> None:
    """Write the loss and the gradients of each lesson's first batch, a file a process."""
    data = data_in(lessons[0].out / f"collection-{rank()}")
    for lesson in lessons:
        [found] = steps(lesson, {}, data=data)
        save_file(found, lesson.out / f"{rank()}.safetensors")


@pytest.mark.parametrize("stage", STAGES)
def test_with_dropout_the_same_masks_give_the_same_bytes(stage: str, backbone: Path, tmp_path: Path) -> None:
    lesson = Lesson(stage, "iaa_m", backbone, tmp_path, dropout=0.3)
    plain, *others = steps(lesson, {}, {"mini_batch_size": 20}, {"gradient_checkpointing": True})
    for other in others:
        assert_equal(other, plain)
    [without] = steps(replace(lesson, dropout=0.0), {})
    assert float(without["loss"]) != float(plain["loss"])


def test_both_passes_of_a_mini_batch_draw_the_same_masks() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.4), nn.Linear(8, 3)).double()
    parts = torch.randn(7, 6, dtype=torch.float64).split(3)
    outputs: list[Tensor] = []

    def encoder(part: Tensor) -> Callable[[], Tensor]:
        def encode() -> Tensor:
            outputs.append(model(part))
            return outputs[-1]

        return encode

    def loss_of(vectors: list[Tensor]) -> Tensor:
        joined = torch.cat(vectors)
        return (joined @ joined.T).logsumexp(dim=1).mean()

    def found(backward: Callable[[list[Callable[[], Tensor]]], Tensor]) -> dict[str, Tensor]:
        outputs.clear()
        model.zero_grad()
        torch.manual_seed(1)
        loss = backward([encoder(part) for part in parts])
        gradients = {str(i): weight.grad for i, weight in enumerate(model.parameters())}
        return {"loss": loss.detach(), "next": torch.rand(2, dtype=torch.float64), **gradients}

    def in_one_graph(encode: list[Callable[[], Tensor]]) -> Tensor:
        loss = loss_of([mini_batch() for mini_batch in encode])
        loss.backward()
        return loss

    plain = found(in_one_graph)
    cached = found(lambda encode: cached_backward(encode, loss_of))
    assert_equal(cached, plain, 1e-13)  # sums of no more than 8 numbers
    assert torch.equal(cached["next"], plain["next"])  # what is drawn after the step
    first, second = outputs[: len(parts)], outputs[len(parts) :]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(model(parts[0]), first[0])


@pytest.mark.parametrize("stage", STAGES)
def test_in_bfloat16_every_weight_has_its_gradient(stage: str, backbone: Path, tmp_path: Path) -> None:
    lesson = Lesson(stage, "lora", backbone, tmp_path)
    plain, *others = steps(lesson, {}, *WAYS.values(), precision="bfloat16")
    for other in others:
        assert list(other) == list(plain)
        far = {
            name: float((other[name] - expected).norm() / expected.norm())
            for name, expected in plain.items()
            if not ("classifier" in name and name.endswith("bias"))  # whose true gradient is zero
        }
        # Roundings of up to 2^-9, some dozens in a row, make a few percent; a gradient that lacks a part is
        # off by a large share.
        assert {name: by for name, by in far.items() if by > 0.25} == {}


@pytest.mark.parametrize("stage", STAGES)
def test_no_more_texts_than_a_mini_batch_have_a_graph_at_a_time(
    stage: str, backbone: Path, tmp_path: Path
) -> None:
    model, backward, [batch, *_] = start(Lesson(stage, "lora", backbone, tmp_path, mini_batch_size=3))
    with_graph: list[int] = []

    def note(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if output.requires_grad:
            with_graph.append(len(output))

    layer = next(module for name, module in model.named_modules() if name.endswith("layer.0"))
    layer.register_forward_hook(note)
    backward(batch)
    texts = 5 * 4 if stage == "reranker" else 5 + len({doc for e in batch for doc in e.documents})
    assert max(with_graph) == 3
    assert sum(with_graph) >= texts - 5  # each once; a document may come twice in a batch


class Killed(BaseException):
    """Stands for a kill: nothing that handles errors sees it."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_training_in_mini_batches_goes_on_to_the_same_bytes(
    stage: str, backbone: Path, tmp_path: Path
) -> None:
    lesson = Lesson(stage, "iaa_s", backbone, tmp_path, dropout=0.3, **WAYS["both"])

    def trained(folder: Path, killed_in: int | None) -> tuple[dict[str, Tensor], list[Any]]:
        model, backward, batches = start(lesson)
        taken, points = 0, list[Any]()

        def counted(batch: Any) -> Tensor:
            nonlocal taken
            taken += 1
            if taken == killed_in:
                raise Killed
            return backward(batch)

        train(
            model,
            batches,
            counted,
            lambda: float(len(points)),  # the last step is the best
            Settings(1e-3, 1e-3, 0.0, 2, "float32", dropout=True, gradient_checkpointing=True),
            points.append,
            lambda name: name.startswith("classifier"),
            checkpoint=Checkpoint(folder, "same", every=0.0),
        )
        return {name: w.detach().clone() for name, w in model.named_parameters() if w.requires_grad}, points

    weights, points = trained(tmp_path / "undisturbed", None)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", 4)
    again, same = trained(tmp_path / "killed", None)
    assert_equal(again, weights)
    assert same == points
