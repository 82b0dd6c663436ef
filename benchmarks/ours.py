"""This package's side: the models that the study trains, and its training loop."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from inputs import Lessons
from peftir.models import saving
from peftir.pipeline.new_reranker import new_reranker
from peftir.pipeline.new_retriever import new_retriever
from peftir.study.params import Params
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from peftir.training.examples import Example
from peftir.training.loop import train
from peftir.training.settings import Settings
from peftir.training.tokens import tokenized_in_memory
from side_by_side import Stopwatch

Model = Any  # a SentenceTransformer or, for the re-ranker, a CrossEncoder


def new_model(params: Params, stage: str) -> Model:
    """The model that the study trains at ``stage``."""
    return (new_reranker if stage == "reranker" else new_retriever)(Path(), params)


def train_in_place(
    params: Params, stage: str, variant: str, model: Model, lessons: Lessons, watch: Stopwatch
) -> None:
    """Train ``model`` in place, as the study does."""
    method, settings = params.methods[variant], params.training(stage)
    saving.attach(model, variant, method)
    loss: RetrieverLoss | RerankerLoss
    if stage == "reranker":
        loss = RerankerLoss(model, settings.mini_batch_size)
    else:
        temperature = params.retriever.temperature
        loss = RetrieverLoss(model, lessons.data.sampler, temperature, settings.mini_batch_size)
    tokens = tokenized_in_memory(lessons.data, lessons.batches, loss)

    def timed_backward(batch: list[Example]) -> Tensor:
        watch.tick()
        watch.losses.append(loss.backward(batch, tokens))
        return watch.losses[-1]

    # A measure that rises from one evaluation to the next keeps the last step.
    rising = itertools.count()
    train(
        model,
        lessons.batches,
        timed_backward,
        lambda: float(next(rising)),
        replace(Settings.of(params, stage, method), evaluate_every=len(lessons.batches)),
        lambda point: None,
        saving.head_of(model),
    )
