"""Train one variant: attach its method, train the weights, save the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from peftir.models import saving
from peftir.models.backbone import ADAPTER, record_of
from peftir.models.precision import format_of_products, processor
from peftir.models.sides import count, tunable_of, untouched_of
from peftir.study import layout
from peftir.study.identity import identity
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.system.files import fingerprint, write_json
from peftir.training.checkpoint import Checkpoint
from peftir.training.costs import Costs
from peftir.training.distributed import rank, world_size
from peftir.training.examples import Batches, Example
from peftir.training.gradients import trained_modules
from peftir.training.loop import train
from peftir.training.operations import forward_operations, peak_operations, training_operations
from peftir.training.settings import Settings
from peftir.training.state import Point

CODE = (
    "data.collection",
    "models",
    "pipeline.backbone",
    "pipeline.new_reranker",
    "pipeline.new_retriever",
    "pipeline.settings",
    "ranking.candidates",
    "ranking.interpolation",
    "ranking.measures",
    "ranking.runs",
    "training",
    "tuners",
)
"""Modules that a training's result depends on, besides the module of its stage."""


def fit(
    root: Path,
    params: Params,
    stage: StageName,
    variant: str,
    seed: Seed,
    paths: layout.TrainingPaths,
    dev_ranking: Path,
    model: SentenceTransformer | CrossEncoder,
    batches: Batches,
    backward: Callable[[list[Example]], Tensor],
    evaluate: Callable[[], float],
    on_point: Callable[[Point], None],
    can_score: bool = False,
) -> dict[str, Any]:
    """Train ``model`` with ``variant``'s method and write it to ``paths``; return what the steps took.

    ``backward`` computes the gradients of a batch and returns its loss. ``evaluate`` returns the dev measure
    by which the best step is selected, on documents of the run ``dev_ranking``. ``can_score`` says that
    ``model`` is a re-ranker whose head is not new. In a process group only rank 0 writes.
    """
    method, settings = params.methods[variant], params.training(stage)
    knobs = saving.attach(model, variant, method)
    start = root / folder if method.start_from and (folder := method.start_from.at(stage)) else None
    if start is not None:
        record = record_of(params.backbone.name, params.backbone.revision, root)
        saving.start_from(model, variant, start, record)
    modules = trained_modules(tunable_of(model))
    checkpoint = Checkpoint(
        root / paths.unfinished,
        identity(
            [
                [stage, variant, seed, processor()],
                [params.backbone.model_dump(), settings.model_dump(), method.model_dump()],
            ],
            code=[*CODE, f"pipeline.train_{stage}"],
            files=[
                root / layout.BACKBONE,
                root / layout.COLLECTION / "manifest.json",  # has the hashes of the other files
                root / layout.negatives(settings.negatives_from),
                dev_ranking,
                *([] if start is None else (start / name for name in fingerprint(start, ADAPTER))),
            ],
        ),
    )
    outcome = train(
        model,
        batches,
        backward,
        evaluate,
        Settings.of(params, stage, method),
        on_point,
        saving.head_of(model),
        {name: module.weights for name, module in modules.items()},
        checkpoint,
    )
    spent = {
        "seconds_per_step": outcome.seconds_per_step,
        "seconds_at": outcome.seconds_at,
        **_costs(model, outcome.costs, params.backbone.precision),
    }
    if rank() > 0:
        return spent
    target = root / paths.model
    trained = {
        "precision": params.backbone.precision,
        "dropout": params.backbone.dropout,
        "threads": params.threads,
    }
    saving.save(model, target, params.backbone.name, params.backbone.revision, root, training=trained)
    weights, sampler = count(model), batches.sampler
    write_json(
        root / paths.record,
        {
            "stage": stage,
            "variant": variant,
            "seed": seed,
            "type": method.type,
            "knobs": knobs,
            "weights": asdict(weights) | {"share": round(weights.share, 6)},
            "bytes": saving.stored_bytes(target) if method.learning_rate else 0,
            "steps": len(batches),
            "best_step": outcome.best_step,
            "best_dev": round(outcome.best_dev, 6),
            "measure": settings.selected_by,
            **(
                {"negatives_of_other_queries": round(sampler.share_of_others(), 4)} if sampler.selects else {}
            ),
            **({} if start is None else {"start_from": fingerprint(start, ADAPTER)}),
            **({"scores_untrained": True} if can_score else {}),
            "gradients": {
                name: {"layer": modules[name].layer, "norms": [float(f"{norm:.4g}") for norm in norms]}
                for name, norms in outcome.gradients.items()
            },
        },
    )
    checkpoint.remove()
    return spent


def _costs(model: SentenceTransformer | CrossEncoder, costs: Costs, precision: str) -> dict[str, Any]:
    """The memory of a step in MiB, tokens per second, and the share of the GPUs' peak; null if unknown."""
    rate, share = None, None
    encoder, untouched = saving.transformer_of(model), untouched_of(model)
    if costs.seconds > 0 and costs.trained.tokens:
        rate = round((costs.trained.tokens + costs.untouched.tokens) / costs.seconds, 1)
        if peak := peak_operations(format_of_products(encoder, precision)):
            operations = training_operations(encoder, costs.trained)
            if untouched is not None:
                operations += forward_operations(untouched, costs.untouched)
            share = round(operations / costs.seconds / (peak * world_size()), 4)
    return {"memory_mb": costs.memory.figures(), "tokens_per_second": rate, "mfu": share}
