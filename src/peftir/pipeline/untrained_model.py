"""The model of an untrained backbone, and its record, as a training writes them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir.models import saving
from peftir.models.sides import count
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.tasks import StageName
from peftir.system.files import write_json


def write_untrained(
    root: Path, params: Params, stage: StageName, variant: str, model: SentenceTransformer | CrossEncoder
) -> None:
    """Write ``model``, which is that of ``stage`` before training, as ``variant``, and its record."""
    method, backbone = params.methods[variant], params.backbone
    saving.attach(model, variant, method)
    saving.save(model, root / layout.model(stage, variant, None), backbone.name, backbone.revision, root)
    weights = count(model)
    write_json(
        root / layout.training(stage, variant, None),
        {
            "stage": stage,
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
