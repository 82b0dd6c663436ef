"""A few texts to train on, as the stages read them from a collection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from peftir.data.collection import Collection, Qrels
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.ranking.candidates import Candidates
from peftir.ranking.runs import Run
from peftir.training.data import TrainingData
from peftir.training.examples import Example, Sampler
from peftir.training.tokens import tokenized_in_memory


def training_data(
    folder: Path,
    queries: dict[str, str],
    documents: dict[str, str],
    qrels: Qrels,
    own_documents: bool = False,
    scores: Run | None = None,
) -> TrainingData:
    """A collection in ``folder`` of these texts, each document a candidate; ``scores`` are a teacher's."""
    judgements = [
        Judgement(query, doc, grade) for query, docs in qrels.items() for doc, grade in docs.items()
    ]
    content = Content(
        [Document(id, "", text) for id, text in documents.items()],
        {"train": judgements},
        [Query(id, text) for id, text in queries.items()],
        {"source": "a test"},
    )
    write_collection(folder, content, own_documents)
    candidates = Candidates.of_run(
        scores or {"any": [(id, 0.0) for id in documents]}, None, scored=scores is not None
    )
    sampler = Sampler(
        qrels, candidates, negatives=1, key="retriever.hard_negatives", own_documents=own_documents
    )
    return TrainingData(Collection(folder), queries, sampler)


def example(data: TrainingData, query: str, positive: str, *negatives: str) -> Example:
    """An example of documents by id."""
    first, *others = (data.sampler.documents.index(id).as_py() for id in (positive, *negatives))
    return Example(query, first, tuple(others))


def backward_of(
    data: TrainingData, batches: list[list[Example]], loss: Any
) -> Callable[[list[Example]], Tensor]:
    """``loss.backward`` as a function of one of ``batches``."""
    tokens = tokenized_in_memory(data, batches, loss)
    return lambda batch: loss.backward(batch, tokens)


def loss_of(data: TrainingData, batches: list[list[Example]], loss: Any) -> Callable[[list[Example]], Tensor]:
    """``loss`` as a function of one of ``batches``."""
    tokens = tokenized_in_memory(data, batches, loss)
    return lambda batch: loss(batch, tokens)
