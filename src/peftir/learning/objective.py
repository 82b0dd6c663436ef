"""A trained model's loss as a function of its trained weights, on a batch that is the same for all models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor, nn

from peftir import tuners
from peftir.data.collection import Collection
from peftir.data.texts import DocumentTexts
from peftir.models import saving
from peftir.ranking.runs import read_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.training.examples import sample_batches
from peftir.training.losses import contrastive_loss, listwise_loss


@dataclass(frozen=True)
class Objective:
    """What the analysis of a loss needs: the weights, and the loss at the weights as they stand.

    ``vectors`` says for each of the weights whether it is a vector (:func:`peftir.tuners.vector_names`).
    """

    weights: list[nn.Parameter]
    vectors: list[bool]
    loss: Callable[[], Tensor]


def objectives(params: Params, stage: str, fold: int | None) -> Callable[[str, Seed], Objective]:
    """A function that gives the objective of a trained model by variant and seed.

    The batch is drawn once, from the train queries as training draws its own; the loss is that of training,
    in float32 and without dropout.

    Args:
        params: of the study.
        stage: ``retriever`` or ``reranker``.
        fold: whose train queries these are, if there are folds.
    """
    retrieves = stage == "retriever"
    collection = Collection(layout.COLLECTION, fold)
    queries, qrels = collection.queries("train"), collection.qrels("train")
    [batch] = sample_batches(
        qrels,
        read_run(layout.BM25_RUNS / "train.trec", qrels),
        steps=1,
        batch_size=getattr(params.learning.queries, stage),
        negatives=params.retriever.hard_negatives if retrieves else params.reranker.negatives,
        key="retriever.hard_negatives" if retrieves else "reranker.negatives",
        depth=params.retriever.negatives_depth if retrieves else params.reranker.negatives_depth,
        seed=params.learning.seed,
    )
    texts = DocumentTexts(collection, [doc for example in batch for doc in example.documents])

    def objective(variant: str, seed: Seed) -> Objective:
        folder = layout.model(stage, variant, seed)
        if retrieves:
            retriever = saving.load(SentenceTransformer, folder)
            loss_of = contrastive_loss(retriever, queries, texts, qrels, params.retriever.temperature)
            return Objective(*trained_weights(retriever), lambda: loss_of(batch))
        reranker = saving.load(CrossEncoder, folder)
        loss_of = listwise_loss(reranker, queries, texts)
        return Objective(*trained_weights(reranker), lambda: loss_of(batch))

    return objective


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
