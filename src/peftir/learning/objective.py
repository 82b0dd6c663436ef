"""A trained model's loss as a function of its trained weights, on the same batch for all models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor, nn

from peftir import tuners
from peftir.models import saving
from peftir.models.sides import transformers_of, tunable_of
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from peftir.training.data import TrainingData
from peftir.training.tokens import TokenTable, tokenized_in_memory
from peftir.tuners.adapter_weights import held


@dataclass(frozen=True)
class Objective:
    """Trained weights, and a function that computes the loss at their current values.

    ``vectors`` has for each weight whether it is a vector (:func:`peftir.tuners.vector_names`).
    """

    weights: list[nn.Parameter]
    vectors: list[bool]
    loss: Callable[[], Tensor]


def objectives(
    root: Path, params: Params, stage: StageName, fold: int | None
) -> Callable[[str, Seed], Objective]:
    """Return a function that loads a trained model by variant and seed and returns its objective.

    The batch is drawn once, from the train queries with the sampler of training. The loss is the training
    loss, in float32 and without dropout.

    Args:
        root: the study's folder.
        params: its params.
        stage: ``retriever`` or ``reranker``.
        fold: the fold whose train queries are used; ``None`` without folds.
    """
    data, loss_of_batch = _read(root, params, stage, fold)
    [batch] = data.sampler.draw(1, params.learning.queries.at(stage), params.learning.seed)
    tokens: TokenTable | None = None

    def objective(variant: str, seed: Seed) -> Objective:
        nonlocal tokens
        model = saving.load(saving.MODEL_TYPES[stage], root / layout.model(stage, variant, seed), root)
        loss = loss_of_batch(model)
        # All models have the same tokenizer and maximum lengths, so the tokens are shared.
        tokens = tokens or tokenized_in_memory(data, [batch], loss)
        return Objective(*trained_weights(model), partial(loss, batch, tokens))

    return objective


def _read(
    root: Path, params: Params, stage: StageName, fold: int | None
) -> tuple[TrainingData, Callable[[Any], RetrieverLoss | RerankerLoss]]:
    """The training data of ``stage``, and a function that returns a model's loss function."""
    if stage == "reranker":
        reranker = params.reranker
        data = TrainingData.read(root, fold, reranker, negatives=reranker.negatives, key="reranker.negatives")
        return data, lambda model: RerankerLoss(model, loss=reranker.loss)
    settings = params.retriever
    data = TrainingData.read(
        root, fold, settings, negatives=settings.hard_negatives, key="retriever.hard_negatives"
    )
    return data, lambda model: RetrieverLoss(model, data.sampler, settings.temperature, loss=settings.loss)


def trained_weights(model: SentenceTransformer | CrossEncoder) -> tuple[list[nn.Parameter], list[bool]]:
    """The trained weights of a loaded model, and whether each is a vector; only they require gradients.

    Adapters are loaded frozen and are unfrozen here. In a model without an adapter all weights were trained.
    """
    model.eval()
    if any(getattr(transformer, "peft_config", None) for transformer in transformers_of(model).values()):
        model.requires_grad_(False)
    for transformer in tunable_of(model).values():
        if not getattr(transformer, "peft_config", None):
            transformer.requires_grad_(True)
            continue
        transformer.set_adapter(transformer.active_adapters())
        for adapter in transformer.active_adapters():
            # The backbone's own biases, where PEFT's option bias trains and saves them.
            saved = held(transformer, adapter)
            for name, weight in transformer.named_parameters():
                if name in saved:
                    weight.requires_grad_(True)
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    vectors = tuners.vector_names(model)
    return [*trained.values()], [name in vectors for name in trained]
