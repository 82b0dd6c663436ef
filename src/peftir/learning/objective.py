"""A trained model's loss as a function of its trained weights, on a batch that is the same for all models."""

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
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from peftir.training.data import TrainingData
from peftir.training.tokens import TokenTable, tokenized_in_memory


@dataclass(frozen=True)
class Objective:
    """What the analysis of a loss needs: the weights, and the loss at the weights as they stand.

    ``vectors`` says for each of the weights whether it is a vector (:func:`peftir.tuners.vector_names`).
    """

    weights: list[nn.Parameter]
    vectors: list[bool]
    loss: Callable[[], Tensor]


def objectives(
    root: Path, params: Params, stage: StageName, fold: int | None
) -> Callable[[str, Seed], Objective]:
    """A function that gives the objective of a trained model by variant and seed.

    The batch is drawn once, from the train queries as training draws its own; the loss is that of training,
    in float32 and without dropout.

    Args:
        root: the study's folder.
        params: its params.
        stage: ``retriever`` or ``reranker``.
        fold: whose train queries these are, if there are folds.
    """
    data, loss_of_batch = _read(root, params, stage, fold)
    [batch] = data.sampler.draw(1, params.learning.queries.at(stage), params.learning.seed)
    tokens: TokenTable | None = None

    def objective(variant: str, seed: Seed) -> Objective:
        nonlocal tokens
        model = saving.load(saving.MODEL_TYPES[stage], root / layout.model(stage, variant, seed), root)
        loss = loss_of_batch(model)
        # All models read the same: they have the backbone's tokenizer and the study's lengths.
        tokens = tokens or tokenized_in_memory(data, [batch], loss)
        return Objective(*trained_weights(model), partial(loss, batch, tokens))

    return objective


def _read(
    root: Path, params: Params, stage: StageName, fold: int | None
) -> tuple[TrainingData, Callable[[Any], RetrieverLoss | RerankerLoss]]:
    """What ``stage`` trains on, and a function that gives a model's loss of a batch of it."""
    if stage == "reranker":
        settings = params.reranker
        data = TrainingData.read(
            root,
            fold,
            negatives=settings.negatives,
            key="reranker.negatives",
            depth=settings.negatives_depth,
        )
        return data, RerankerLoss
    data = TrainingData.read(
        root,
        fold,
        negatives=params.retriever.hard_negatives,
        key="retriever.hard_negatives",
        depth=params.retriever.negatives_depth,
    )
    return data, lambda model: RetrieverLoss(model, data.sampler, params.retriever.temperature)


def trained_weights(model: SentenceTransformer | CrossEncoder) -> tuple[list[nn.Parameter], list[bool]]:
    """The weights of a loaded model that were trained, and which are vectors; they alone have gradients.

    Adapters are loaded frozen; what has none was trained as a whole.
    """
    model.eval()
    transformer = saving.transformer_of(model)
    if getattr(transformer, "peft_config", None):
        model.requires_grad_(False)
        transformer.set_adapter(transformer.active_adapters())
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    vectors = tuners.vector_names(model)
    return [*trained.values()], [name in vectors for name in trained]
