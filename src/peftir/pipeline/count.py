"""The number of trained parameters and the size on disk of each variant: ``peftir count``."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from peftir import tuners
from peftir.models.backbone import backbone_folder
from peftir.models.loading import AS_DEFAULT
from peftir.pipeline.backbone import as_settled
from peftir.study.params import MethodParams, Params
from peftir.system.errors import PeftirError
from peftir.system.text import aligned


@dataclass(frozen=True)
class Count:
    """The parameters of a variant on a backbone, as a re-ranker; a retriever has the same without the head.

    Attributes:
        variant: its name.
        type: of the method.
        knobs: the method's settings.
        trained: number of trained parameters, without the head.
        trained_as_paper: the same without the biases of inserted modules.
        share: ``trained`` divided by ``backbone``.
        head: number of parameters of the head.
        backbone: number of parameters of the backbone.
        bytes: size on disk of the saved weights, head included.
    """

    variant: str
    type: str
    knobs: dict[str, Any]
    trained: int
    trained_as_paper: int
    share: float
    head: int
    backbone: int
    bytes: int


def count_variants(root: Path, params: Params, backbone: str, names: list[str]) -> list[Count]:
    """Count the parameters of each variant in ``names`` on ``backbone``, a hub id or a local folder.

    Raises:
        PeftirError: a name is not under ``methods``, its settings are invalid, or the backbone is not found.
    """
    unknown = [name for name in names if name not in params.methods]
    if unknown:
        raise PeftirError(
            f"--variant {unknown[0]}: expected a name under methods: {', '.join(params.methods)}"
        )
    revision = as_settled(root, params).backbone.revision if backbone == params.backbone.name else None
    folder = backbone_folder(backbone, revision, root)
    return [_count(folder, name, params.methods[name]) for name in names]


def _count(folder: Path, name: str, method: MethodParams) -> Count:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, **AS_DEFAULT.model_arguments(folder)
    )
    try:
        knobs = tuners.attach(model, method.type, **method.knobs)
    except tuners.TunerError as error:
        raise PeftirError(f"params.yaml: methods.{name}.{error}") from error
    weights = tuners.count(model)
    return Count(
        variant=name,
        type=method.type,
        knobs=knobs,
        share=round(weights.share, 6),
        bytes=_stored_bytes(model) if any(p.requires_grad for p in model.parameters()) else 0,
        **asdict(weights),
    )


def _stored_bytes(model: Any) -> int:
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors"))


def as_table(counts: list[Count]) -> str:
    """The counts as aligned columns for a terminal."""
    head = ("variant", "type", "knobs", "weights trained", "share", "head", "bytes on disk")
    lines = [
        (
            count.variant,
            count.type,
            " ".join(f"{key}={value}" for key, value in count.knobs.items()) or "-",
            f"{count.trained:,}",
            f"{count.share:.3%}",
            f"{count.head:,}",
            f"{count.bytes:,}",
        )
        for count in counts
    ]
    return "\n".join(aligned([head, *lines], words=3))
