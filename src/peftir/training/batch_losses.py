"""The loss of a batch of examples: tokens are collated, and read by the model."""

from __future__ import annotations

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from peftir.models.biencoder import TextKind, texts_and_length
from peftir.models.templates import Template
from peftir.models.tokenizing import features
from peftir.training.distributed import all_reduce, gather_rows, shard
from peftir.training.examples import Example, Sampler
from peftir.training.losses import contrastive_loss, listwise_loss
from peftir.training.tokens import Reading, TokenizedTexts, TokenTable


class RetrieverLoss:
    """The contrastive loss of a bi-encoder, over the documents of the whole batch.

    With several processes each encodes its shard of the queries and of the documents, and has the loss of the
    whole batch. Documents that are no negatives of a query (relevant ones, its own document) are masked.

    Args:
        model: the bi-encoder.
        sampler: knows the documents that are no negatives of a query.
        temperature: see :func:`peftir.training.losses.contrastive_loss`.
    """

    in_pairs = False

    def __init__(self, model: SentenceTransformer, sampler: Sampler, temperature: float) -> None:
        self._model, self._sampler, self._temperature = model, sampler, temperature
        self.tokenizer = model.tokenizer
        self._template = Template.of(self.tokenizer, 1)
        self.query, self.document = self._reading("query"), self._reading("document")

    def reads(self, batch: list[Example]) -> tuple[list[str], list[int]]:
        """The queries and the documents of a batch that this process reads."""
        return [example.query for example in shard(batch)], [*shard(_documents(batch))]

    def __call__(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """The scalar loss of ``batch``."""
        documents = _documents(batch)
        queries, mine = self.reads(batch)
        query_vectors = gather_rows(self._vectors(tokens.queries(queries)), len(batch))
        document_vectors = gather_rows(self._vectors(tokens.documents(mine)), len(documents))
        device = query_vectors.device
        return contrastive_loss(
            query_vectors,
            document_vectors,
            torch.arange(len(batch), device=device),
            self._mask(batch, documents).to(device),
            self._temperature,
        )

    def _reading(self, task: TextKind) -> Reading:
        [prefix], length = texts_and_length(self._model, [""], task)
        return Reading(prefix, length - self._template.special)

    def _vectors(self, texts: TokenizedTexts) -> Tensor:
        tokens = self._template.encode([[tokens] for tokens in texts.tokens])
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
    """

    in_pairs = True

    def __init__(self, model: CrossEncoder) -> None:
        self._model, self._length = model, model.max_length
        self.tokenizer = model.tokenizer
        self._template = Template.of(self.tokenizer, 2)
        self.query = self.document = Reading("", self._length - self._template.special)

    def reads(self, batch: list[Example]) -> tuple[list[str], list[int]]:
        """The queries and the documents of a batch that this process reads."""
        mine = shard(batch)
        return [example.query for example in mine], [doc for example in mine for doc in example.documents]

    def __call__(self, batch: list[Example], tokens: TokenTable) -> Tensor:
        """The scalar loss of ``batch``."""
        queries, documents = self.reads(batch)
        width = len(documents) // len(queries)
        asked, found = tokens.queries(queries), tokens.documents(documents)
        pairs = [
            self._template.cut(
                asked.tokens[i // width],
                found.tokens[i],
                (asked.sizes[i // width], found.sizes[i]),
                self._length,
            )
            for i in range(len(documents))
        ]
        inputs = features(self.tokenizer, self._template.encode(pairs), self._model.device)
        scores = self._model(inputs)["scores"].view(len(queries), width)
        mean = listwise_loss(scores, torch.zeros(len(queries), dtype=torch.long, device=scores.device))
        return all_reduce(mean * (len(queries) / len(batch)))


def _documents(batch: list[Example]) -> list[int]:
    """All documents of a batch: first the relevant ones, in the order of the queries."""
    return [e.positive for e in batch] + [doc for e in batch for doc in e.negatives]
