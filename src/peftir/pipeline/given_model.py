"""A trained model in any folder, such as one that ``peftir export`` wrote, and the params that it needs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.models import manifest
from peftir.models.backbone import own_backbone
from peftir.models.biencoder import POOLINGS
from peftir.study import layout, names
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError

UNTRAINED = "backbone"  # the variant of the retriever if no other is given
LIKE_A_MODEL = re.compile(r"(.+)-(\d+)(f\d+)?")  # VARIANT-SEED, the name of a model's folder in a study


@dataclass(frozen=True)
class GivenModel:
    """A model in ``folder``, with a name for its variant and its seed, both from the name of the folder."""

    folder: Path
    stage: StageName
    variant: str
    seed: int
    settings: dict[str, Any]
    """The blocks of ``params.yaml`` that it was made with, as far as they change what it computes."""


def read_model(folder: Path) -> GivenModel:
    """The model in ``folder``.

    Raises:
        PeftirError: there is none, or its backbone is not found.
    """
    try:
        recorded = manifest.read(folder)
        stage: StageName = "reranker" if manifest.is_reranker(recorded) else "retriever"
        lengths = {key: value for key, value in recorded["tokens"].items() if key.endswith("length")}
        settings: dict[str, Any] = {"backbone": {}, stage: lengths}
        if stage == "retriever":
            pooling = next(name for name, mode in POOLINGS.items() if mode == recorded["output"]["pooling"])
            prompts = _json(folder / "config_sentence_transformers.json")["prompts"]
            settings["backbone"] = {"pooling": pooling}
            settings[stage] |= {"similarity": recorded["output"]["similarity"]}
            settings[stage] |= {f"{text}_prefix": prompts.get(text) or "" for text in ("query", "document")}
        if (folder / "adapter_config.json").is_file():
            study = (place for place in folder.resolve().parents if (place / layout.BACKBONE).is_file())
            backbone = own_backbone(folder, recorded["backbone"], next(study, Path()))
            settings["backbone"] |= {"name": str(backbone.resolve()), "revision": None}
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise PeftirError(
            f"{folder}: no model that peftir saved ({' '.join(str(error).split())}); expected a folder "
            "such as models/retriever/lora-13, or one that `peftir export` wrote"
        ) from error
    variant, seed = _named(folder.resolve().name)
    return GivenModel(folder, stage, variant, seed, settings)


def _named(folder: str) -> tuple[str, int]:
    parts = LIKE_A_MODEL.fullmatch(folder)
    variant, seed = (parts[1], int(parts[2])) if parts else (folder, 0)
    variant = re.sub(r"\W", "_", variant, flags=re.ASCII)
    reserved = names.RESERVED | {UNTRAINED: "the untrained backbone"}
    return ("adapter" if names.problem([variant], reserved) else variant), seed


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
