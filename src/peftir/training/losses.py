"""The losses of the bi-encoder and of the cross-encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from peftir.data.collection import Qrels, Texts
from peftir.models.biencoder import Task, texts_and_length
from peftir.models.precision import not_rounded
from peftir.models.tokenizing import features, tokenize
from peftir.training.distributed import joined, share, total
from peftir.training.examples import Example


def contrastive_loss(
    model: SentenceTransformer,
    queries: dict[str, str],
    texts: Texts,
    qrels: Qrels,
    temperature: float,
    own_documents: bool = False,
) -> Callable[[list[Example]], Tensor]:
    """The loss of a batch: each query picks its document among all of the batch's.

    Cross-entropy over similarities divided by ``temperature``, where a query's negatives are the other
    queries' documents and every hard negative in the batch, less those judged relevant to it and, with
    ``own_documents``, the one with its id (Karpukhin et al. 2020, §3.2). In a group each process encodes its
    share of the queries and of the documents, and has the loss of them all.
    """

    def loss(batch: list[Example]) -> Tensor:
        documents = [e.positive for e in batch] + [doc for e in batch for doc in e.negatives]
        asked = [queries[e.query] for e in share(batch)]
        query_vectors = joined(_vectors(model, asked, "query"), len(batch))
        document_vectors = joined(_vectors(model, texts([*share(documents)]), "document"), len(documents))
        scores = query_vectors @ document_vectors.T / temperature
        no_negative = _no_negative(batch, documents, qrels, own_documents)
        scores = scores.masked_fill(no_negative.to(scores.device), -torch.inf)
        return torch.nn.functional.cross_entropy(
            not_rounded(scores), torch.arange(len(batch), device=scores.device)
        )

    return loss


def listwise_loss(
    model: CrossEncoder, queries: dict[str, str], texts: Texts
) -> Callable[[list[Example]], Tensor]:
    """The loss of a batch: softmax over each query's one relevant document and its negatives.

    The localized contrastive estimation of Gao, Dai & Callan (ECIR 2021). In a group each process scores the
    documents of its share of the queries, and has the loss of them all.
    """

    def loss(whole: list[Example]) -> Tensor:
        batch = share(whole)
        documents = texts([doc for e in batch for doc in e.documents])
        width = len(documents) // len(batch)
        asked = [queries[batch[i // width].query] for i in range(len(documents))]
        tokens = tokenize(model.tokenizer, asked, documents, model.max_length)
        scores = model(features(model.tokenizer, tokens, model.device))["scores"]
        scores = not_rounded(scores.view(len(batch), width))
        mean = torch.nn.functional.cross_entropy(
            scores, torch.zeros(len(batch), dtype=torch.long, device=scores.device)
        )
        return total(mean * (len(batch) / len(whole)))

    return loss


def _vectors(model: SentenceTransformer, texts: list[str], task: Task) -> Tensor:
    texts, length = texts_and_length(model, texts, task)
    tokens = tokenize(model.tokenizer, texts, None, length)
    return model(features(model.tokenizer, tokens, model.device))["sentence_embedding"]


def _no_negative(batch: list[Example], documents: list[str], qrels: Qrels, own_documents: bool) -> Tensor:
    """True where a document is not the one to pick, but no negative of the query, ``[batch, documents]``."""
    mask = torch.zeros(len(batch), len(documents), dtype=torch.bool)
    for row, example in enumerate(batch):
        for column, document in enumerate(documents):
            relevant = qrels[example.query].get(document, 0) > 0
            own = own_documents and document == example.query
            mask[row, column] = column != row and (relevant or own)
    return mask
