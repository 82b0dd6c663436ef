"""The untrained backbone as a retriever: one model, index and run for all seeds and folds."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from peftir import tuners
from peftir.models import saving
from peftir.pipeline.backbone import settled
from peftir.pipeline.index import index_documents
from peftir.pipeline.new_retriever import new_retriever
from peftir.pipeline.retrieve import retrieve
from peftir.pipeline.settings import check_settings
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.files import write_json
from peftir.training.distributed import barrier, rank


def rank_untrained(root: Path, params: Params, variant: str) -> dict[str, float]:
    """Write the model, index and runs of ``variant``; return the seconds of indexing and retrieval.

    The processes of a group share the encoding of documents; rank 0 writes.
    """
    params = settled(root, params)
    check_settings(root, params)
    if rank() == 0:
        _write_model(root, params, variant)
    barrier()
    start = time.perf_counter()
    index_documents(root, params, variant, None)
    indexed = time.perf_counter()
    if rank() == 0:
        retrieve(root, params, variant, None)
    return {
        "index_seconds": round(indexed - start, 1),
        "retrieve_seconds": round(time.perf_counter() - indexed, 1),
    }


def _write_model(root: Path, params: Params, variant: str) -> None:
    """Write the untrained model and its figures, as a training does."""
    model, method, backbone = new_retriever(root, params), params.methods[variant], params.backbone
    saving.attach(model, variant, method)
    saving.save(
        model, root / layout.model("retriever", variant, None), backbone.name, backbone.revision, root
    )
    weights = tuners.count(saving.transformer_of(model))
    write_json(
        root / layout.training("retriever", variant, None),
        {
            "stage": "retriever",
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
