"""The untrained backbone as a re-ranker, where it can score already: one model and run for all seeds."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from peftir import tuners
from peftir.models import saving
from peftir.models.backbone import backbone_folder
from peftir.models.starts import head_outputs
from peftir.pipeline.backbone import settled
from peftir.pipeline.new_reranker import new_reranker
from peftir.pipeline.rerank import rerank_candidates
from peftir.pipeline.settings import check_settings
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.system.files import write_json
from peftir.training.distributed import barrier, rank


def rerank_untrained(root: Path, params: Params, variant: str) -> dict[str, float]:
    """Write the model and the runs of ``variant``; return the seconds of re-ranking.

    The processes of a group share the scoring; rank 0 writes.

    Raises:
        PeftirError: the backbone has no trained head, and ``reranker.yes_no`` is not given.
    """
    params = settled(root, params)
    check_settings(root, params)
    backbone = params.backbone
    if (
        params.reranker.yes_no is None
        and head_outputs(backbone_folder(backbone.name, backbone.revision, root)) is None
    ):
        raise PeftirError(
            f"variants.untrained_reranker: '{variant}': expected a backbone that can score already: a "
            "trained cross-encoder, or one that answers yes or no with reranker.yes_no; backbone.name "
            f"'{backbone.name}' has no head"
        )
    if rank() == 0:
        _write_model(root, params, variant)
    barrier()
    start = time.perf_counter()
    rerank_candidates(root, params, variant, None)
    return {"rerank_seconds": round(time.perf_counter() - start, 1)}


def _write_model(root: Path, params: Params, variant: str) -> None:
    """Write the untrained model and its figures, as a training does."""
    model, method, backbone = new_reranker(root, params), params.methods[variant], params.backbone
    saving.attach(model, variant, method)
    folder = root / layout.model("reranker", variant, None)
    saving.save(model, folder, backbone.name, backbone.revision, root)
    weights = tuners.count(saving.transformer_of(model))
    write_json(
        root / layout.training("reranker", variant, None),
        {
            "stage": "reranker",
            "variant": variant,
            "seed": None,
            "type": method.type,
            "knobs": {},
            "weights": asdict(weights) | {"share": round(weights.share, 6)},
            "bytes": 0,
            "steps": 0,
            "best_step": 0,
        },
    )
