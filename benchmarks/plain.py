"""Plain sentence-transformers, as its documentation shows it: default arguments, float32 unless asked.

Training gets the study's batch size, lengths, learning rates, warm-up and order of examples beside that, and
the dropout of the backbone only where the study has it, so that both sides compute the same.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    DefaultBatchSampler,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import ListNetLoss
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from torch.utils.data import SequentialSampler
from transformers import AutoConfig, TrainerCallback

from inputs import Lessons
from peftir.models.backbone import backbone_folder
from peftir.models.saving import transformer_of
from peftir.study.blocks import BackboneParams
from peftir.study.params import MethodParams, Params
from peftir.tuners import make_config
from side_by_side import Stopwatch


class InOrder(DefaultBatchSampler):
    """Batches of neighbouring examples, as they were drawn."""

    def __init__(self, dataset: Dataset, **settings: Any) -> None:
        super().__init__(SequentialSampler(dataset), **settings)


class Ticking(TrainerCallback):
    """Tells a stopwatch that a step begins."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Called by the trainer."""
        self._stopwatch.tick()


def new_retriever(backbone: BackboneParams, length: int, precision: str = "float32") -> SentenceTransformer:
    """The backbone's own model, with another maximum length."""
    folder = str(backbone_folder(backbone.name))
    model = SentenceTransformer(
        folder,
        model_kwargs={"dtype": getattr(torch, precision)},
        config_kwargs=_dropout(folder, backbone.dropout),
    )
    model.max_seq_length = length
    return model


def train_retriever(
    params: Params, method: MethodParams, lessons: Lessons, seed: int, stopwatch: Stopwatch, precision: str
) -> SentenceTransformer:
    """Train on (query, document, hard negative …) with in-batch negatives."""
    torch.manual_seed(seed)
    model = new_retriever(params.backbone, params.retriever.document_length)
    _tune(model, method)
    examples = [example for batch in lessons.batches for example in batch]
    columns = {"anchor": [lessons.data.queries[example.query] for example in examples]}
    for place in range(1 + params.retriever.hard_negatives):
        name = f"negative_{place}" if place else "positive"
        columns[name] = lessons.texts([example.documents[place] for example in examples])
    loss = _loss(model, params)
    loss.register_forward_hook(lambda module, inputs, value: stopwatch.losses.append(value.detach()))
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                folder, **arguments(params, "retriever", method, len(lessons.batches), seed, precision)
            ),
            train_dataset=Dataset.from_dict(columns),
            loss=loss,
            callbacks=[Ticking(stopwatch)],
        ).train()
    return model


def _loss(model: SentenceTransformer, params: Params) -> torch.nn.Module:
    """The loss with in-batch negatives, with gradient caching where the study has mini-batches."""
    scale, mini_batch_size = 1 / params.retriever.temperature, params.retriever.mini_batch_size
    if mini_batch_size is None:
        return MultipleNegativesRankingLoss(model, scale=scale)
    return CachedMultipleNegativesRankingLoss(model, scale=scale, mini_batch_size=mini_batch_size)


def train_reranker(
    params: Params, method: MethodParams, lessons: Lessons, seed: int, stopwatch: Stopwatch, precision: str
) -> CrossEncoder:
    """Train on queries with lists of documents, the first of them relevant."""
    torch.manual_seed(seed)
    folder = str(backbone_folder(params.backbone.name))
    model = CrossEncoder(
        folder,
        num_labels=1,
        max_length=params.reranker.length,
        config_kwargs=_dropout(folder, params.backbone.dropout),
    )
    _tune(model, method)
    examples = [example for batch in lessons.batches for example in batch]
    columns = {
        "query": [lessons.data.queries[example.query] for example in examples],
        "docs": [lessons.texts(example.documents) for example in examples],
        "labels": [[1] + [0] * len(example.negatives) for example in examples],
    }
    with tempfile.TemporaryDirectory() as scratch:
        CrossEncoderTrainer(
            model=model,
            args=CrossEncoderTrainingArguments(
                scratch,
                learning_rate_mapping={r"\bclassifier\b": params.reranker.head_learning_rate},
                **arguments(params, "reranker", method, len(lessons.batches), seed, precision),
            ),
            train_dataset=Dataset.from_dict(columns),
            loss=ListNetLoss(model),
            callbacks=[Ticking(stopwatch)],
        ).train()
    return model


def _dropout(folder: str, dropout: bool) -> dict[str, float]:
    """The settings that switch the backbone's dropout off, unless ``dropout``."""
    if dropout:
        return {}
    config = AutoConfig.from_pretrained(folder).to_dict()
    return {key: 0.0 for key, value in config.items() if "dropout" in key and isinstance(value, float)}


def _tune(model: SentenceTransformer | CrossEncoder, method: MethodParams) -> None:
    """Insert the method's weights by sentence-transformers' own ``add_adapter``; ``full`` needs nothing."""
    if method.type != "full":
        model.add_adapter(make_config(method.type, transformer_of(model), **method.knobs))


def arguments(
    params: Params, stage: str, method: MethodParams, steps: int, seed: int, precision: str
) -> dict[str, Any]:
    """The arguments that both trainers share."""
    settings = params.training(stage)
    return {
        "max_steps": steps,
        "per_device_train_batch_size": settings.batch_size,
        "learning_rate": getattr(method.learning_rate, stage),
        "warmup_steps": settings.warmup,  # below 1 it is a share of the steps
        "weight_decay": 0.01,
        "batch_sampler": InOrder,
        "bf16": precision == "bfloat16",
        "seed": seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
