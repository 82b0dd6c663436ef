"""A short training of a tiny retriever or re-ranker, as each process of a group does it."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft.tuners.adamss.layer import AdamssLayer
from safetensors.torch import save_file
from torch import Tensor, nn

from lessons import backward_of, example, training_data
from peftir.models import saving
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.study.params import MethodParams
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from peftir.training.checkpoint import Checkpoint
from peftir.training.data import TrainingData
from peftir.training.distributed import all_gather, all_reduce_gradients, rank, seed_per_rank
from peftir.training.examples import Example
from peftir.training.gradient_checkpointing import recomputing_layers
from peftir.training.loop import train
from peftir.training.settings import Settings

WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text", "model", "matrix", "graph"]
_random = random.Random(4)
TEXTS = {f"d{i}": " ".join(_random.choices(WORDS, k=1 + i % 7)) for i in range(60)}
QUERIES = {f"q{i}": " ".join(_random.choices(WORDS, k=1 + i % 3)) for i in range(20)}
QRELS = {f"q{i}": {f"d{i}": 1, f"d{i + 1}": 1} for i in range(20)}  # the next one's is relevant as well

KNOBS: dict[str, dict[str, Any]] = {
    "full": {},
    "bitfit": {},
    "ia3": {},
    "prefix": {"length": 3},
    "mam": {"rank": 4, "length": 3},
    "peft": {"config": {"peft_type": "LORA", "r": 2, "target_modules": "all-linear"}},
}
"""Those of the methods that take others than a rank."""


@dataclass(frozen=True)
class Lesson:
    """What is trained, and the folder that takes what comes of it."""

    stage: str
    method: str
    backbone: Path
    out: Path
    dropout: float = 0.0
    state: Path | None = None
    killed_in: int | None = None
    mini_batch_size: int | None = None
    gradient_checkpointing: bool = False
    tune: Any = "both"
    knobs: dict[str, Any] | None = None
    loss: str | None = None


def data_in(folder: Path) -> TrainingData:
    """The texts, as a collection in ``folder``, with a teacher's scores of all pairs."""
    chooser = random.Random(5)
    scores = {query: [(document, chooser.gauss(0, 3)) for document in TEXTS] for query in QUERIES}
    return training_data(folder, QUERIES, TEXTS, QRELS, scores=scores)


def batches(lesson: Lesson, data: TrainingData) -> list[list[Example]]:
    """Six batches of five queries, which two cannot share equally; nor a retriever's hard negatives."""
    chooser = random.Random(7)

    def drawn(number: int) -> Example:
        count = 3 if lesson.stage == "reranker" or lesson.loss else number % 3
        negatives = (f"d{chooser.randrange(22, 60)}" for _ in range(count))
        return example(data, f"q{number}", f"d{number}", *negatives)

    return [[drawn(chooser.randrange(20)) for _ in range(5)] for _ in range(6)]


def start(lesson: Lesson) -> tuple[Any, Any, list[list[Example]]]:
    """The model, the backward pass of a batch, and the batches."""
    data = data_in(lesson.out / f"collection-{rank()}")
    model, drawn = new_model(lesson), batches(lesson, data)
    return model, backward_in(model, lesson, data, drawn), drawn


def backward_in(model: Any, lesson: Lesson, data: TrainingData, drawn: list[list[Example]]) -> Any:
    """The backward pass of a batch, in the lesson's mini-batches."""
    size = lesson.mini_batch_size
    named: dict[str, Any] = {"loss": lesson.loss} if lesson.loss else {}
    reranker = lesson.stage == "reranker"
    loss = (
        RerankerLoss(model, size, **named)
        if reranker
        else RetrieverLoss(model, data.sampler, 0.5, size, **named)
    )
    return backward_of(data, drawn, loss)


def new_model(lesson: Lesson) -> Any:
    """The model, in float64: what is equal hardly differs."""
    torch.manual_seed(13)
    backbone = str(lesson.backbone)
    if lesson.stage == "reranker":
        model: Any = new_crossencoder(backbone, length=24)
    else:
        sizes = {"query_length": 8, "document_length": 16}
        model = new_biencoder(backbone, pooling="mean", tune=lesson.tune, **sizes)
    method: dict[str, Any] = {"type": lesson.method, "learning_rate": {"retriever": 1e-3, "reranker": 1e-3}}
    method |= lesson.knobs or KNOBS.get(lesson.method, {"rank": 4})
    saving.attach(model, "tuned", MethodParams.model_validate(method))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = lesson.dropout
        if isinstance(module, AdamssLayer):
            module.dtype = torch.float64  # it converts to this, not to the precision of its weights
    return model.double()


def all_of(lessons: list[Lesson], out: Path) -> None:
    """Do what one group of processes can: starting one takes longer than a lesson."""
    for lesson in lessons:
        (gradients if lesson.method == "full" else trained)(lesson)
    drawn(out)


def trained(lesson: Lesson) -> None:
    """Train, and write the weights and the losses of each step, a file a process."""
    model, backward, drawn = start(lesson)
    step = 0

    def counted(batch: list[Example]) -> Tensor:
        nonlocal step
        step += 1
        if step == lesson.killed_in and rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return backward(batch)

    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    points: list[Any] = []
    outcome = train(
        model,
        drawn,
        counted,
        lambda: float(len(points)),  # the last step is the best
        Settings(1e-3, 1e-3, warmup=0.0, evaluate_every=1, precision="float32", dropout=True),
        points.append,
        saving.head_of(model),
        {"all": list(weights.values())},
        lesson.state and Checkpoint(lesson.state, "same", every=0.0),
    )
    record = {
        "points": [[point.step, point.dev, point.loss] for point in points],
        "norms": outcome.gradients["all"],
        "steps": step,
        "random": torch.rand(2).tolist(),
    }
    (lesson.out / f"{rank()}.json").write_text(json.dumps(record))
    _write(lesson.out, weights)


def gradients(lesson: Lesson) -> None:
    """Write the loss and the gradients of the first batch, a file a process."""
    model, backward, [batch, *_] = start(lesson)
    _write(lesson.out, gradients_of(model, backward, batch, lesson.gradient_checkpointing))


def gradients_of(
    model: Any, backward: Callable[[list[Example]], Tensor], batch: list[Example], recomputing: bool
) -> dict[str, Tensor]:
    """The gradient of each trained weight by its name, and the loss."""
    model.zero_grad(set_to_none=True)
    with recomputing_layers(model) if recomputing else nullcontext():
        loss = backward(batch)
    all_reduce_gradients(model.parameters())
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {"loss": loss, **found}


def drawn(out: Path) -> None:
    """Write what all processes draw after the same seed."""
    torch.manual_seed(13)
    seed_per_rank()
    numbers = all_gather(torch.rand(3))
    if rank() == 0:
        save_file({"drawn": numbers}, out / "drawn.safetensors")


def _write(folder: Path, tensors: dict[str, Tensor]) -> None:
    copies = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(copies, folder / f"{rank()}.safetensors")
