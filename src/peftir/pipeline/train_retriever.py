"""Training a retriever, from the study's artefacts to a model folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from peftir.data.collection import Qrels, TextLookup
from peftir.models.biencoder import encode
from peftir.pipeline.backbone import settled
from peftir.pipeline.new_retriever import new_retriever
from peftir.pipeline.settings import check_settings
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Rankings, Run, read_run, search_excluding_own
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, draw
from peftir.training.batch_losses import RetrieverLoss
from peftir.training.data import TrainingData
from peftir.training.determinism import seed_everything
from peftir.training.distributed import rank
from peftir.training.examples import Batches, dev_sample
from peftir.training.fitting import fit
from peftir.training.state import Point
from peftir.training.tokens import tokenized


def train_retriever(
    root: Path,
    params: Params,
    variant: str,
    seed: Seed,
    on_point: Callable[[Point], None],
    paths: layout.TrainingPaths | None = None,
) -> dict[str, Any]:
    """Train ``variant`` and write its folder; gives what the steps took.

    ``paths`` is where the training writes, if it is not one of those whose results are reported.
    """
    params = settled(root, params)
    check_settings(root, params)
    number, fold = draw(seed)
    settings, method = params.retriever, params.methods[variant]
    data = TrainingData.read(
        root, fold, settings, negatives=settings.hard_negatives, key="retriever.hard_negatives"
    )
    steps = settings.steps if method.learning_rate else 0
    batches = Batches(data.sampler, steps, settings.batch_size, number)
    dev_qrels, dev_queries = data.collection.qrels("dev"), data.collection.queries("dev")
    dev_ids = dev_sample(dev_qrels, settings.dev_queries)
    dev_ranking = root / layout.BM25_RUNS / "dev.trec"
    dev_run = read_run(dev_ranking, set(dev_ids))
    pool = dev_documents(dev_ids, dev_qrels, dev_run, settings.dev_documents)

    seed_everything(number)
    model = new_retriever(root, params, settings.tune)
    loss = RetrieverLoss(model, data.sampler, settings.temperature, settings.mini_batch_size, settings.loss)
    paths = paths or layout.training_paths("retriever", variant, seed)
    with tokenized(data, batches, loss, root / paths.tokens(rank())) as tokens:
        return fit(
            root,
            params,
            "retriever",
            variant,
            seed,
            paths,
            dev_ranking,
            model,
            batches,
            lambda batch: loss.backward(batch, tokens),
            retriever_on_dev(
                model,
                {query: dev_queries[query] for query in dev_ids},
                pool,
                data.collection.texts_of(pool),
                dev_qrels,
                measure=settings.selected_by,
                precision=params.backbone.precision,
                own_documents=data.collection.own_documents,
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
    for place in range(max((len(ranking) for ranking in rankings), default=0)):
        for ranking in rankings:
            if len(chosen) >= count:
                return list(chosen)
            if place < len(ranking):
                chosen.setdefault(ranking[place])
    return list(chosen)


def retriever_on_dev(
    model: SentenceTransformer,
    queries: dict[str, str],
    documents: list[str],
    texts: TextLookup,
    qrels: Qrels,
    *,
    measure: str,
    precision: str,
    own_documents: bool,
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

        def best(depth: int) -> Rankings:
            return (
                (query, _ranked(documents, row, depth)) for query, row in zip(queries, scores, strict=True)
            )

        return mean_of(dict(search_excluding_own(best, 1000, own_documents)), judged, measure)

    return evaluate


def _ranked(documents: list[str], scores: np.ndarray, depth: int) -> list[tuple[str, float]]:
    order = np.argsort(-scores, kind="stable")[:depth]
    return [(documents[i], float(scores[i])) for i in order]
