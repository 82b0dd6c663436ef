"""A short training of a tiny retriever or re-ranker, as each process of a group does it."""

from __future__ import annotations

import json
import os
import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lessons import example, loss_of, training_data
from peftir.models import saving
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.study.params import MethodParams
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from peftir.training.checkpoint import Checkpoint
from peftir.training.data import TrainingData
from peftir.training.distributed import all_gather, all_reduce_gradients, rank, seed_per_rank
from peftir.training.examples import Example
from peftir.training.loop import train
from peftir.training.state import Settings

WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text", "model", "matrix", "graph"]
_random = random.Random(4)
TEXTS = {f"d{i}": " ".join(_random.choices(WORDS, k=1 + i % 7)) for i in range(60)}
QUERIES = {f"q{i}": " ".join(_random.choices(WORDS, k=1 + i % 3)) for i in range(20)}
QRELS = {f"q{i}": {f"d{i}": 1, f"d{i + 1}": 1} for i in range(20)}  # the next one's is relevant as well


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


def batches(stage: str, data: TrainingData) -> list[list[Example]]:
    """Six batches of five queries, which two cannot share equally; nor a retriever's hard negatives."""
    chooser = random.Random(7)

    def drawn(number: int) -> Example:
        count = 3 if stage == "reranker" else number % 3
        negatives = (f"d{chooser.randrange(22, 60)}" for _ in range(count))
        return example(data, f"q{number}", f"d{number}", *negatives)

    return [[drawn(chooser.randrange(20)) for _ in range(5)] for _ in range(6)]


def start(lesson: Lesson) -> tuple[Any, Any, list[list[Example]]]:
    """The model, its loss of a batch, and the batches; in float64: what is equal hardly differs."""
    data = training_data(lesson.out / f"collection-{rank()}", QUERIES, TEXTS, QRELS)
    torch.manual_seed(13)
    backbone = str(lesson.backbone)
    if lesson.stage == "reranker":
        model: Any = new_crossencoder(backbone, length=24)
        loss: Any = RerankerLoss(model)
    else:
        model = new_biencoder(backbone, pooling="mean", query_length=8, document_length=16)
        loss = RetrieverLoss(model, data.sampler, 0.5)
    method: dict[str, Any] = {"type": lesson.method, "learning_rate": {"retriever": 1e-3, "reranker": 1e-3}}
    if lesson.method != "full":
        method["rank"] = 4
    saving.attach(model, "tuned", MethodParams.model_validate(method))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = lesson.dropout
    drawn = batches(lesson.stage, data)
    return model.double(), loss_of(data, drawn, loss), drawn


def all_of(lessons: list[Lesson], out: Path) -> None:
    """Do what one group of processes can: starting one takes longer than a lesson."""
    for lesson in lessons:
        (gradients if lesson.method == "full" else trained)(lesson)
    drawn(out)


def trained(lesson: Lesson) -> None:
    """Train, and write the weights and the losses of each step, a file a process."""
    model, loss, drawn = start(lesson)
    step = 0

    def loss_of(batch: list[Example]) -> Tensor:
        nonlocal step
        step += 1
        if step == lesson.killed_in and rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(batch)

    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    points: list[Any] = []
    outcome = train(
        model,
        drawn,
        loss_of,
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
    """Write the gradient of the first batch, a file a process."""
    model, loss, [batch, *_] = start(lesson)
    loss(batch).backward()
    all_reduce_gradients(model.parameters())
    _write(lesson.out, {n: weight.grad for n, weight in model.named_parameters() if weight.grad is not None})


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
