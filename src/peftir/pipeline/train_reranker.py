"""Training a re-ranker, from the study's artefacts to a model folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sentence_transformers import CrossEncoder

from peftir.data.collection import Collection, Qrels, Texts
from peftir.data.texts import DocumentTexts
from peftir.models.crossencoder import new_crossencoder, score_candidates
from peftir.pipeline.backbone import settled
from peftir.pipeline.settings import check_settings
from peftir.ranking.interpolation import rerank
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Run, read_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, draw
from peftir.training.determinism import start_from
from peftir.training.examples import dev_sample, sample_batches
from peftir.training.fitting import fit
from peftir.training.losses import listwise_loss
from peftir.training.state import Point


def train_reranker(
    params: Params, variant: str, seed: Seed, on_point: Callable[[Point], None]
) -> dict[str, Any]:
    """Train ``variant`` and write its folder; gives what the steps took in seconds."""
    params = settled(params)
    check_settings(params)
    number, fold = draw(seed)
    settings, collection = params.reranker, Collection(layout.COLLECTION, fold)
    qrels, dev_qrels = collection.qrels("train"), collection.qrels("dev")
    batches = sample_batches(
        qrels,
        read_run(layout.BM25_RUNS / "train.trec", qrels),
        steps=settings.steps,
        batch_size=settings.batch_size,
        negatives=settings.negatives,
        key="reranker.negatives",
        depth=settings.negatives_depth,
        seed=number,
        own_documents=collection.own_documents,
    )
    dev_ids = dev_sample(dev_qrels, settings.dev_queries)
    dev_run = read_run(layout.BM25_RUNS / "dev.trec", dev_qrels)
    candidates = {query: dev_run.get(query, [])[: settings.dev_depth] for query in dev_ids}
    texts = DocumentTexts(
        collection,
        [
            *(doc for ranking in candidates.values() for doc, _ in ranking),
            *(doc for batch in batches for e in batch for doc in e.documents),
        ],
    )
    dev_queries = collection.queries("dev")

    start_from(number)
    model = new_crossencoder(params.backbone.name, revision=params.backbone.revision, length=settings.length)
    return fit(
        params,
        "reranker",
        variant,
        seed,
        model,
        batches,
        listwise_loss(model, collection.queries("train"), texts),
        reranker_on_dev(
            model,
            {query: dev_queries[query] for query in dev_ids},
            candidates,
            texts,
            dev_qrels,
            measure=settings.selected_by,
            precision=params.backbone.precision,
        ),
        on_point,
    )


def reranker_on_dev(
    model: CrossEncoder,
    queries: dict[str, str],
    candidates: Run,
    texts: Texts,
    qrels: Qrels,
    *,
    measure: str,
    precision: str,
) -> Callable[[], float]:
    """A function that re-ranks ``candidates`` with ``model`` alone and gives the mean ``measure``."""
    judged = {query: qrels[query] for query in queries}

    def evaluate() -> float:
        scores = score_candidates(model, queries, candidates, texts, precision)
        return mean_of(rerank(candidates, scores), judged, measure)

    return evaluate
