"""Training a retriever, from the study's artefacts to a model folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from peftir.data.collection import Collection, Qrels, Texts
from peftir.data.texts import DocumentTexts
from peftir.models.biencoder import encode
from peftir.pipeline.backbone import settled
from peftir.pipeline.new_retriever import new_retriever
from peftir.pipeline.settings import check_settings
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Run, read_run, search_beyond_own
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, draw
from peftir.training.determinism import start_from
from peftir.training.examples import dev_sample, sample_batches
from peftir.training.fitting import fit
from peftir.training.losses import contrastive_loss
from peftir.training.state import Point


def train_retriever(
    params: Params, variant: str, seed: Seed, on_point: Callable[[Point], None]
) -> dict[str, Any]:
    """Train ``variant`` and write its folder; gives what the steps took in seconds."""
    params = settled(params)
    check_settings(params)
    number, fold = draw(seed)
    settings, collection = params.retriever, Collection(layout.COLLECTION, fold)
    qrels, dev_qrels = collection.qrels("train"), collection.qrels("dev")
    batches = sample_batches(
        qrels,
        read_run(layout.BM25_RUNS / "train.trec", qrels),
        steps=settings.steps,
        batch_size=settings.batch_size,
        negatives=settings.hard_negatives,
        key="retriever.hard_negatives",
        depth=settings.negatives_depth,
        seed=number,
        own_documents=collection.own_documents,
    )
    dev_ids = dev_sample(dev_qrels, settings.dev_queries)
    dev_run = read_run(layout.BM25_RUNS / "dev.trec", dev_qrels)
    pool = dev_documents(dev_ids, dev_qrels, dev_run, settings.dev_documents)
    texts = DocumentTexts(
        collection, [*pool, *(doc for batch in batches for e in batch for doc in e.documents)]
    )
    dev_queries = collection.queries("dev")

    start_from(number)
    model = new_retriever(params)
    return fit(
        params,
        "retriever",
        variant,
        seed,
        model,
        batches,
        contrastive_loss(
            model,
            collection.queries("train"),
            texts,
            qrels,
            settings.temperature,
            collection.own_documents,
        ),
        retriever_on_dev(
            model,
            {query: dev_queries[query] for query in dev_ids},
            pool,
            texts,
            dev_qrels,
            measure=settings.selected_by,
            precision=params.backbone.precision,
            own_documents=collection.own_documents,
        ),
        on_point,
    )


def dev_documents(queries: Iterable[str], qrels: Qrels, run: Run, count: int) -> list[str]:
    """The documents that a retriever is tried on: all judged ones, filled up to ``count`` from ``run``.

    They come rank by rank, so that every query brings the same number of hard ones.
    """
    queries = list(queries)
    chosen = dict.fromkeys(doc for query in queries for doc in qrels[query])
    rankings = [[doc for doc, _ in run.get(query, [])] for query in queries]
    for rank in range(max((len(ranking) for ranking in rankings), default=0)):
        for ranking in rankings:
            if len(chosen) >= count:
                return list(chosen)
            if rank < len(ranking):
                chosen.setdefault(ranking[rank])
    return list(chosen)


def retriever_on_dev(
    model: SentenceTransformer,
    queries: dict[str, str],
    documents: list[str],
    texts: Texts,
    qrels: Qrels,
    *,
    measure: str,
    precision: str,
    own_documents: bool = False,
) -> Callable[[], float]:
    """A function that ranks ``documents`` for ``queries`` with ``model`` and gives the mean ``measure``.

    Equal scores are ordered by descending document id, as in trec_eval. In the order of ``documents``, whose
    judged ones come first, a retriever that has collapsed would find those best.
    """
    judged = {query: qrels[query] for query in queries}
    documents = sorted(documents, reverse=True)

    def evaluate() -> float:
        scores = (
            encode(model, list(queries.values()), "query", precision)
            @ encode(model, texts(documents), "document", precision).T
        )

        def best(depth: int) -> Run:
            return {query: _ranked(documents, row, depth) for query, row in zip(queries, scores, strict=True)}

        return mean_of(search_beyond_own(best, 1000, own_documents), judged, measure)

    return evaluate


def _ranked(documents: list[str], scores: np.ndarray, depth: int) -> list[tuple[str, float]]:
    order = np.argsort(-scores, kind="stable")[:depth]
    return [(documents[i], float(scores[i])) for i in order]
