"""Training a re-ranker, from the study's artefacts to a model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentence_transformers import CrossEncoder

from peftir.data.collection import Qrels, TextLookup
from peftir.models.backbone import backbone_folder
from peftir.models.crossencoder import score_candidates
from peftir.models.starts import scores_untrained
from peftir.pipeline.backbone import settled
from peftir.pipeline.new_reranker import new_reranker
from peftir.pipeline.settings import check_settings
from peftir.ranking.interpolation import rerank
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Run, read_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, draw
from peftir.training.batch_losses import RerankerLoss
from peftir.training.data import TrainingData
from peftir.training.determinism import seed_everything
from peftir.training.distributed import rank
from peftir.training.examples import Batches, dev_sample
from peftir.training.fitting import fit
from peftir.training.state import Point
from peftir.training.tokens import tokenized


def train_reranker(
    root: Path, params: Params, variant: str, seed: Seed, on_point: Callable[[Point], None]
) -> dict[str, Any]:
    """Train ``variant`` and write its folder; gives what the steps took."""
    params = settled(root, params)
    check_settings(root, params)
    number, fold = draw(seed)
    settings, method = params.reranker, params.methods[variant]
    data = TrainingData.read(root, fold, settings, negatives=settings.negatives, key="reranker.negatives")
    steps = settings.steps if method.learning_rate else 0
    batches = Batches(data.sampler, steps, settings.batch_size, number)
    dev_qrels, dev_queries = data.collection.qrels("dev"), data.collection.queries("dev")
    dev_ids = dev_sample(dev_qrels, settings.dev_queries)
    dev_ranking = root / layout.run(params.reranking.candidates) / "dev.trec"
    dev_run = read_run(dev_ranking, set(dev_ids))
    candidates = {query: dev_run.get(query, [])[: settings.dev_depth] for query in dev_ids}

    seed_everything(number)
    model = new_reranker(root, params)
    loss = RerankerLoss(model, settings.mini_batch_size, settings.loss)
    paths = layout.training_paths("reranker", variant, seed)
    with tokenized(data, batches, loss, root / paths.tokens(rank())) as tokens:
        return fit(
            root,
            params,
            "reranker",
            variant,
            seed,
            paths,
            dev_ranking,
            model,
            batches,
            lambda batch: loss.backward(batch, tokens),
            reranker_on_dev(
                model,
                {query: dev_queries[query] for query in dev_ids},
                candidates,
                data.collection.texts_of(doc for ranking in candidates.values() for doc, _ in ranking),
                dev_qrels,
                measure=settings.selected_by,
                precision=params.backbone.precision,
            ),
            on_point,
            scores_untrained(
                backbone_folder(params.backbone.name, params.backbone.revision, root), settings.yes_no
            ),
        )


def reranker_on_dev(
    model: CrossEncoder,
    queries: dict[str, str],
    candidates: Run,
    texts: TextLookup,
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
