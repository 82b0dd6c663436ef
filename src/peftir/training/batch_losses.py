"""The loss of a batch of examples, from tokens to the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from peftir.models.biencoder import TextKind, texts_and_length
from peftir.models.sides import tuned_sides
from peftir.models.templates import Template
from peftir.models.tokenizing import features
from peftir.study.training import RerankerLossName, RetrieverLossName
from peftir.training.distributed import all_reduce, gather_rows, shard
from peftir.training.examples import Example, Sampler
from peftir.training.gradient_caching import cached_backward, mini_batches
from peftir.training.losses import (
    contrastive_loss,
    hinge_loss,
    kl_loss,
    listwise_loss,
    margin_mse_loss,
    ranknet_loss,
)
from peftir.training.tokens import Reading, TokenizedTexts, TokenTable

T = TypeVar("T")
RERANKER_LOSSES: dict[RerankerLossName, Callable[[Tensor, Tensor], Tensor]] = {
    "listwise": listwise_loss,
    "ranknet": ranknet_loss,
    "hinge": hinge_loss,
}


class RetrieverLoss:
    """A loss of a bi-encoder: contrastive over the documents of the whole batch, or learned from a teacher.

    ``margin_mse`` and ``kl`` compare a teacher's scores of each query's own documents with their similarities
    over the temperature. With several processes, each encodes its shard of the queries and of the documents,
    and returns the loss of the whole batch. Documents that cannot be negatives of a query are masked, as its
    relevant ones.

    Args:
        model: the bi-encoder.
        sampler: the sampler of the batches, for the documents that are never negatives of a query.
        temperature: see :func:`peftir.training.losses.contrastive_loss`.
        mini_batch_size: number of texts that :meth:`backward` encodes at a time; ``None`` for no limit.
        loss: ``contrastive``, ``margin_mse`` or ``kl``.
    """

    in_pairs = False

    def __init__(
        self,
        model: SentenceTransformer,
        sampler: Sampler,
        temperature: float,
        mini_batch_size: int | None = None,
        loss: RetrieverLossName = "contrastive",
    ) -> None:
        self._model, self._sampler, self._temperature = model, sampler, temperature
        self._mini_batch_size, self._loss_name = mini_batch_size, loss
        self.tokenizer = model.tokenizer
        self._template = Template.of(self.tokenizer, 1)
        self.query, self.document = self._reading("query"), self._reading("document")

    def reads(self, batch: list[Example]) -> tuple[list[str], list[int]]:
        """The queries and the documents in this process's shard of ``batch``."""
        return [example.query for example in shard(batch)], [*shard(_documents(batch))]

    def __call__(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """The scalar loss of ``batch``."""
        queries, documents = self.reads(batch)
        return self._loss(
            batch,
            self._vectors("query", tokens.queries, queries),
            self._vectors("document", tokens.documents, documents),
        )

    def backward(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """Accumulate the gradients of the loss of ``batch`` in the weights and return the scalar loss.

        Gradient caching is used if there are more queries or documents than ``mini_batch_size``.
        """
        queries, documents = self.reads(batch)
        size = self._mini_batch_size
        if size is None or max(len(queries), len(documents)) <= size:
            loss = self(batch, tokens)
            loss.backward()
            return loss.detach()
        encode_queries = [
            partial(self._vectors, "query", tokens.queries, part) for part in mini_batches(queries, size)
        ]
        encode_documents = [
            partial(self._vectors, "document", tokens.documents, part)
            for part in mini_batches(documents, size)
        ]
        if tuned_sides(self._model) == "query":
            vectors_of_documents = torch.cat([encode() for encode in encode_documents])
            return cached_backward(
                encode_queries,
                lambda vectors: self._loss(batch, torch.cat(vectors), vectors_of_documents),
            )

        def loss_of(vectors: list[Tensor]) -> Tensor:
            count = len(encode_queries)
            return self._loss(batch, torch.cat(vectors[:count]), torch.cat(vectors[count:]))

        return cached_backward([*encode_queries, *encode_documents], loss_of)

    def _loss(self, batch: list[Example], queries: Tensor, documents: Tensor) -> Tensor:
        """The loss, from the vectors of this process's shard of the queries and of the documents."""
        all_documents = _documents(batch)
        queries, documents = gather_rows(queries, len(batch)), gather_rows(documents, len(all_documents))
        labels = torch.arange(len(batch), device=queries.device)
        if self._loss_name == "contrastive":
            mask = self._mask(batch, all_documents).to(queries.device)
            return contrastive_loss(queries, documents, labels, mask, self._temperature)
        own = documents[_own_rows(batch)]
        scores = (own @ queries.unsqueeze(2)).squeeze(2) / self._temperature
        teacher = torch.tensor([self._sampler.scores(example) for example in batch], device=queries.device)
        if self._loss_name == "kl":
            return kl_loss(scores, teacher)
        return margin_mse_loss(scores, teacher, torch.zeros_like(labels))

    def _reading(self, task: TextKind) -> Reading:
        [prefix], length = texts_and_length(self._model, [""], task)
        return Reading(prefix, length - self._template.special)

    def _vectors(
        self, task: TextKind, tokens_of: Callable[[Sequence[T]], TokenizedTexts], texts: Sequence[T]
    ) -> Tensor:
        """The embeddings of ``texts``, ``[n, d]``; without a graph if their side is not trained."""
        untouched = task == "document" and tuned_sides(self._model) == "query"
        tokens = self._template.encode([[tokens] for tokens in tokens_of(texts).tokens])
        inputs = features(self.tokenizer, tokens, self._model.device)
        with torch.no_grad() if untouched else nullcontext():
            return self._model(inputs, task=task)["sentence_embedding"]

    def _mask(self, batch: list[Example], documents: list[int]) -> Tensor:
        """True for documents that are neither a query's positive nor negatives, ``[batch, documents]``."""
        mask = torch.zeros(len(batch), len(documents), dtype=torch.bool)
        for row, example in enumerate(batch):
            excluded = self._sampler.excluded_negatives(example.query, example.positive)
            mask[row] = torch.tensor([document in excluded for document in documents])
            mask[row, row] = False
        return mask


class RerankerLoss:
    """A loss of a cross-encoder, over one relevant document and the negatives of each query.

    With several processes, each scores the documents of its shard of the queries, and returns the loss of the
    whole batch.

    Args:
        model: the cross-encoder.
        mini_batch_size: number of query-document pairs that :meth:`backward` scores at a time; ``None`` for
            no limit.
        loss: ``listwise``, ``ranknet`` or ``hinge``.
    """

    in_pairs = True

    def __init__(
        self, model: CrossEncoder, mini_batch_size: int | None = None, loss: RerankerLossName = "listwise"
    ) -> None:
        self._loss_of_scores = RERANKER_LOSSES[loss]
        self._model, self._length, self._mini_batch_size = model, model.max_length, mini_batch_size
        self.tokenizer = model.tokenizer
        self._template = Template.of(self.tokenizer, 2)
        self.query = self.document = Reading("", self._length - self._template.special)

    def reads(self, batch: list[Example]) -> tuple[list[str], list[int]]:
        """The queries and the documents in this process's shard of ``batch``."""
        local = shard(batch)
        return [example.query for example in local], [doc for example in local for doc in example.documents]

    def __call__(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """The scalar loss of ``batch``."""
        local = shard(batch)
        return all_reduce(self._partial_loss(local, self._scores(_pairs(local), tokens), len(batch)))

    def backward(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """Accumulate the gradients of the loss of ``batch`` in the weights and return the scalar loss.

        A mini-batch holds all documents of one or more queries, whose losses are added up. Gradient caching
        is used if the documents of one query are more than ``mini_batch_size``.
        """
        local, size = shard(batch), self._mini_batch_size
        width = len(local[0].documents)
        if size is not None and size < width:
            scores = [partial(self._scores, part, tokens) for part in mini_batches(_pairs(local), size)]
            return all_reduce(
                cached_backward(scores, lambda parts: self._partial_loss(local, torch.cat(parts), len(batch)))
            )
        total = torch.zeros((), device=self._model.device)
        for part in mini_batches(local, len(local) if size is None else size // width):
            loss = self._partial_loss(part, self._scores(_pairs(part), tokens), len(batch))
            loss.backward()
            total = total + loss.detach()
        return all_reduce(total)

    def _scores(self, pairs: Sequence[tuple[str, int]], tokens: TokenTable) -> Tensor:
        """The scores of query-document pairs, ``[n]``."""
        queries = tokens.queries(query for query, _ in pairs)
        documents = tokens.documents(document for _, document in pairs)
        sizes = zip(queries.sizes, documents.sizes, strict=True)
        truncated = [
            self._template.cut(query, document, both, self._length)
            for query, document, both in zip(queries.tokens, documents.tokens, sizes, strict=True)
        ]
        inputs = features(self.tokenizer, self._template.encode(truncated), self._model.device)
        return self._model(inputs)["scores"].flatten()

    def _partial_loss(self, examples: Sequence[Example], scores: Tensor, count: int) -> Tensor:
        """The contribution of ``examples`` to the loss of a batch of ``count``, from their pairs' scores."""
        labels = torch.zeros(len(examples), dtype=torch.long, device=scores.device)
        return self._loss_of_scores(scores.view(len(examples), -1), labels) * (len(examples) / count)


def _pairs(examples: Sequence[Example]) -> list[tuple[str, int]]:
    """The query-document pairs, grouped by query, the relevant document first."""
    return [(example.query, document) for example in examples for document in example.documents]


def _documents(batch: list[Example]) -> list[int]:
    """All documents of a batch: the positives in the order of the queries, then the negatives."""
    return [e.positive for e in batch] + [doc for e in batch for doc in e.negatives]


def _own_rows(batch: list[Example]) -> Tensor:
    """The rows in :func:`_documents` of each query's own documents, the relevant one first."""
    count, width = len(batch), len(batch[0].negatives)
    negatives = count + torch.arange(count * width).view(count, width)
    return torch.cat([torch.arange(count).unsqueeze(1), negatives], dim=1)
