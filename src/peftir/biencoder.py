"""The retriever: a bi-encoder that maps queries and documents to vectors whose inner product ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from torch import Tensor

from peftir.backbone import backbone_folder, let_it_pad
from peftir.examples import Example, Qrels, Texts
from peftir.group import joined, share
from peftir.inference import run_in_batches
from peftir.tokens import features, tokenize

POOLINGS = {"cls": "cls", "mean": "mean", "last": "lasttoken"}
Task = Literal["query", "document"]


def new_biencoder(
    backbone: str,
    *,
    revision: str | None = None,
    pooling: str,
    similarity: Literal["cosine", "dot"] = "cosine",
    query_length: int,
    document_length: int,
    query_prefix: str = "",
    document_prefix: str = "",
) -> SentenceTransformer:
    """A bi-encoder on an untouched backbone: pooled token vectors, scaled to length 1 for the cosine.

    Args:
        backbone: a hub id or a local folder.
        revision: of a hub id, see :func:`peftir.backbone.backbone_folder`.
        pooling: a key of ``POOLINGS``.
        similarity: ``cosine``, or ``dot`` for the inner product of the vectors as they are.
        query_length, document_length: tokens kept of each, special tokens and prefix included.
        query_prefix, document_prefix: what stands before each text, such as ``"query: "``.
    """
    transformer = Transformer(
        str(backbone_folder(backbone, revision)), query_length=query_length, document_length=document_length
    )
    let_it_pad(transformer.tokenizer)
    pooled = Pooling(transformer.get_embedding_dimension(), POOLINGS[pooling])
    return SentenceTransformer(
        modules=[transformer, pooled, *([Normalize()] if similarity == "cosine" else [])],
        similarity_fn_name=similarity,
        prompts={"query": query_prefix, "document": document_prefix},
    )


def encode(model: SentenceTransformer, texts: list[str], task: Task, precision: str) -> np.ndarray:
    """Vectors of ``texts``, ``[len(texts), d]`` float32, each text with its task's prefix."""
    texts, length = _read(model, texts, task)
    return run_in_batches(model, texts, None, length=length, output="sentence_embedding", precision=precision)


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
            scores.float(), torch.arange(len(batch), device=scores.device)
        )

    return loss


def _vectors(model: SentenceTransformer, texts: list[str], task: Task) -> Tensor:
    texts, length = _read(model, texts, task)
    tokens = tokenize(model.tokenizer, texts, None, length)
    return model(features(model.tokenizer, tokens, model.device))["sentence_embedding"]


def _read(model: SentenceTransformer, texts: list[str], task: Task) -> tuple[list[str], int]:
    """``texts`` with their task's prefix, and how many tokens of each are read."""
    transformer: Any = model[0]
    length = transformer.query_length if task == "query" else transformer.document_length
    prefix = model.prompts[task] or ""
    return [prefix + text for text in texts], length


def _no_negative(batch: list[Example], documents: list[str], qrels: Qrels, own_documents: bool) -> Tensor:
    """True where a document is not the one to pick, but no negative of the query, ``[batch, documents]``."""
    mask = torch.zeros(len(batch), len(documents), dtype=torch.bool)
    for row, example in enumerate(batch):
        for column, document in enumerate(documents):
            relevant = qrels[example.query].get(document, 0) > 0
            own = own_documents and document == example.query
            mask[row, column] = column != row and (relevant or own)
    return mask
