"""The loss of a batch of examples: tokens are collated, and read by the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from peftir.models.biencoder import TextKind, texts_and_length
from peftir.models.templates import Template
from peftir.models.tokenizing import features
from peftir.training.distributed import all_reduce, gather_rows, shard
from peftir.training.examples import Example, Sampler
from peftir.training.gradient_caching import cached_backward, mini_batches
from peftir.training.losses import contrastive_loss, listwise_loss
from peftir.training.tokens import Reading, TokenizedTexts, TokenTable

T = TypeVar("T")


class RetrieverLoss:
    """The contrastive loss of a bi-encoder, over the documents of the whole batch.

    With several processes each encodes its shard of the queries and of the documents, and has the loss of the
    whole batch. Documents that are no negatives of a query (relevant ones, its own document) are masked.

    Args:
        model: the bi-encoder.
        sampler: knows the documents that are no negatives of a query.
        temperature: see :func:`peftir.training.losses.contrastive_loss`.
        mini_batch_size: how many texts :meth:`backward` encodes at a time; None for the whole batch at once.
    """

    in_pairs = False

    def __init__(
        self,
        model: SentenceTransformer,
        sampler: Sampler,
        temperature: float,
        mini_batch_size: int | None = None,
    ) -> None:
        self._model, self._sampler, self._temperature = model, sampler, temperature
        self._mini_batch_size = mini_batch_size
        self.tokenizer = model.tokenizer
        self._template = Template.of(self.tokenizer, 1)
        self.query, self.document = self._reading("query"), self._reading("document")

    def reads(self, batch: list[Example]) -> tuple[list[str], list[int]]:
        """The queries and the documents of a batch that this process reads."""
        return [example.query for example in shard(batch)], [*shard(_documents(batch))]

    def __call__(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """The scalar loss of ``batch``."""
        queries, documents = self.reads(batch)
        return self._loss(
            batch, self._vectors(tokens.queries, queries), self._vectors(tokens.documents, documents)
        )

    def backward(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """Add the gradients of the loss of ``batch`` to those of the weights; returns the scalar loss.

        In mini-batches, by gradient caching, if the queries or the documents are more than fit into one.
        """
        queries, documents = self.reads(batch)
        size = self._mini_batch_size
        if size is None or max(len(queries), len(documents)) <= size:
            loss = self(batch, tokens)
            loss.backward()
            return loss.detach()
        of_queries = [partial(self._vectors, tokens.queries, part) for part in mini_batches(queries, size)]
        of_documents = [
            partial(self._vectors, tokens.documents, part) for part in mini_batches(documents, size)
        ]

        def loss_of(vectors: list[Tensor]) -> Tensor:
            count = len(of_queries)
            return self._loss(batch, torch.cat(vectors[:count]), torch.cat(vectors[count:]))

        return cached_backward([*of_queries, *of_documents], loss_of)

    def _loss(self, batch: list[Example], queries: Tensor, documents: Tensor) -> Tensor:
        """The loss, from the vectors of the queries and documents that this process reads."""
        all_documents = _documents(batch)
        queries, documents = gather_rows(queries, len(batch)), gather_rows(documents, len(all_documents))
        return contrastive_loss(
            queries,
            documents,
            torch.arange(len(batch), device=queries.device),
            self._mask(batch, all_documents).to(queries.device),
            self._temperature,
        )

    def _reading(self, task: TextKind) -> Reading:
        [prefix], length = texts_and_length(self._model, [""], task)
        return Reading(prefix, length - self._template.special)

    def _vectors(self, tokens_of: Callable[[Sequence[T]], TokenizedTexts], texts: Sequence[T]) -> Tensor:
        """The vectors of texts, ``[n, d]``."""
        tokens = self._template.encode([[tokens] for tokens in tokens_of(texts).tokens])
        return self._model(features(self.tokenizer, tokens, self._model.device))["sentence_embedding"]

    def _mask(self, batch: list[Example], documents: list[int]) -> Tensor:
        """True where a document is no negative of a query and not the one to pick, ``[batch, documents]``."""
        mask = torch.zeros(len(batch), len(documents), dtype=torch.bool)
        for row, example in enumerate(batch):
            barred = self._sampler.no_negatives(example.query)
            mask[row] = torch.tensor([document in barred for document in documents])
            mask[row, row] = False
        return mask


class RerankerLoss:
    """The listwise loss of a cross-encoder, over each query's one relevant document and its negatives.

    With several processes each scores the documents of its shard of the queries, and has the loss of the
    whole batch.

    Args:
        model: the cross-encoder.
        mini_batch_size: how many pairs of a query and a document :meth:`backward` scores at a time; None for
            the whole batch at once.
    """

    in_pairs = True

    def __init__(self, model: CrossEncoder, mini_batch_size: int | None = None) -> None:
        self._model, self._length, self._mini_batch_size = model, model.max_length, mini_batch_size
        self.tokenizer = model.tokenizer
        self._template = Template.of(self.tokenizer, 2)
        self.query = self.document = Reading("", self._length - self._template.special)

    def reads(self, batch: list[Example]) -> tuple[list[str], list[int]]:
        """The queries and the documents of a batch that this process reads."""
        mine = shard(batch)
        return [example.query for example in mine], [doc for example in mine for doc in example.documents]

    def __call__(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """The scalar loss of ``batch``."""
        mine = shard(batch)
        return all_reduce(self._share(mine, self._scores(_pairs(mine), tokens), len(batch)))

    def backward(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """Add the gradients of the loss of ``batch`` to those of the weights; returns the scalar loss.

        The queries' losses are summed, so a mini-batch is as many whole queries as fit into it, and each pair
        is scored once. If the documents of one query do not fit, the gradients of the scores are cached.
        """
        mine, size = shard(batch), self._mini_batch_size
        width = len(mine[0].documents)
        if size is not None and size < width:
            scores = [partial(self._scores, part, tokens) for part in mini_batches(_pairs(mine), size)]
            return all_reduce(
                cached_backward(scores, lambda parts: self._share(mine, torch.cat(parts), len(batch)))
            )
        total = torch.zeros((), device=self._model.device)
        for part in mini_batches(mine, len(mine) if size is None else size // width):
            share = self._share(part, self._scores(_pairs(part), tokens), len(batch))
            share.backward()
            total = total + share.detach()
        return all_reduce(total)

    def _scores(self, pairs: Sequence[tuple[str, int]], tokens: TokenTable) -> Tensor:
        """The scores of pairs of a query and a document, ``[n]``."""
        queries = tokens.queries(query for query, _ in pairs)
        documents = tokens.documents(document for _, document in pairs)
        sizes = zip(queries.sizes, documents.sizes, strict=True)
        cut = [
            self._template.cut(query, document, both, self._length)
            for query, document, both in zip(queries.tokens, documents.tokens, sizes, strict=True)
        ]
        inputs = features(self.tokenizer, self._template.encode(cut), self._model.device)
        return self._model(inputs)["scores"].flatten()

    @staticmethod
    def _share(examples: Sequence[Example], scores: Tensor, count: int) -> Tensor:
        """What some of the ``count`` examples of a batch add to its loss, from the scores of their pairs."""
        labels = torch.zeros(len(examples), dtype=torch.long, device=scores.device)
        return listwise_loss(scores.view(len(examples), -1), labels) * (len(examples) / count)


def _pairs(examples: Sequence[Example]) -> list[tuple[str, int]]:
    """The pairs of a query and a document, those of a query together, the relevant document first."""
    return [(example.query, document) for example in examples for document in example.documents]


def _documents(batch: list[Example]) -> list[int]:
    """All documents of a batch: first the relevant ones, in the order of the queries."""
    return [e.positive for e in batch] + [doc for e in batch for doc in e.negatives]
