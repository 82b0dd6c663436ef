"""What both sides work on: texts of the study's collection, and how well a ranking of them does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from peftir.data.collection import Collection, Qrels
from peftir.data.texts import DocumentTexts
from peftir.pipeline.train_retriever import dev_documents
from peftir.ranking.interpolation import rerank
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Run, read_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.training.data import TrainingData
from peftir.training.examples import Batches, Example, dev_sample

MEASURE = "RR@10"


@dataclass(frozen=True)
class Search:
    """Queries and the documents, judged and hard ones, that are searched for them."""

    queries: list[str]
    documents: list[str]
    query_ids: list[str]
    document_ids: list[str]
    qrels: Qrels

    @classmethod
    def of(cls, split: str, queries: int, documents: int) -> Search:
        """At most so many queries and documents of ``split``."""
        collection = Collection(layout.COLLECTION)
        qrels, texts_of_queries = collection.qrels(split), collection.queries(split)
        query_ids = dev_sample(qrels, queries)
        ids = dev_documents(query_ids, qrels, read_run(layout.BM25_RUNS / f"{split}.trec"), documents)
        texts = DocumentTexts(collection, ids)(ids)
        judged = {query: qrels[query] for query in query_ids}
        return cls([texts_of_queries[query] for query in query_ids], texts, query_ids, ids, judged)

    def mrr(self, query_vectors: np.ndarray, document_vectors: np.ndarray) -> float:
        """The measure of exact search by inner product."""
        run: Run = {}
        for query, scores in zip(self.query_ids, query_vectors @ document_vectors.T, strict=True):
            best = np.argsort(-scores, kind="stable")[:10]
            run[query] = [(self.document_ids[i], float(scores[i])) for i in best]
        return mean_of(run, self.qrels, MEASURE)


@dataclass(frozen=True)
class Candidates:
    """The documents at the top of BM25's list for some queries."""

    pairs: list[tuple[str, str]]
    run: Run
    qrels: Qrels

    @classmethod
    def of(cls, split: str, queries: int, depth: int) -> Candidates:
        """The first ``depth`` candidates of at most so many queries of ``split``."""
        collection = Collection(layout.COLLECTION)
        qrels, texts_of_queries = collection.qrels(split), collection.queries(split)
        ranked = read_run(layout.BM25_RUNS / f"{split}.trec")
        run = {query: ranked.get(query, [])[:depth] for query in dev_sample(qrels, queries)}
        ids = [doc for ranking in run.values() for doc, _ in ranking]
        texts = DocumentTexts(collection, ids)(ids)
        asked = [texts_of_queries[query] for query, ranking in run.items() for _ in ranking]
        return cls(list(zip(asked, texts, strict=True)), run, {query: qrels[query] for query in run})

    def mrr(self, scores: np.ndarray) -> float:
        """The measure of the candidates in the order of ``scores``, ``[len(pairs)]``."""
        values = iter(scores.tolist())
        scored = {q: [(doc, next(values)) for doc, _ in ranking] for q, ranking in self.run.items()}
        return mean_of(rerank(self.run, scored), self.qrels, MEASURE)


@dataclass(frozen=True)
class Lessons:
    """What a model is trained on: batches of examples, and the texts of their documents by number."""

    data: TrainingData
    batches: list[list[Example]]
    documents: dict[int, str]

    @classmethod
    def of(cls, params: Params, stage: str, steps: int) -> Lessons:
        """The first ``steps`` batches that the study trains ``stage`` on."""
        settings = params.training(stage)
        key = "hard_negatives" if stage == "retriever" else "negatives"
        data = TrainingData.read(
            Path(), None, settings, negatives=getattr(settings, key), key=f"{stage}.{key}"
        )
        batches = list(Batches(data.sampler, steps, settings.batch_size, params.seeds.at(stage)[0]))
        numbers = sorted({number for batch in batches for e in batch for number in e.documents})
        ids = [data.sampler.documents[number].as_py() for number in numbers]
        return cls(data, batches, dict(zip(numbers, data.collection.texts_of(ids)(ids), strict=True)))

    def texts(self, numbers: Iterable[int]) -> list[str]:
        """The texts of documents, in their order."""
        return [self.documents[number] for number in numbers]
