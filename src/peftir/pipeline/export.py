"""Export a trained model to a folder with a model card: ``peftir export``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel
from sentence_transformers import CrossEncoder

from peftir import tuners
from peftir.models import manifest, saving
from peftir.models.backbone import own_backbone
from peftir.pipeline.backbone import as_settled
from peftir.pipeline.model_card import model_card
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError
from peftir.system.files import replacing


def export(
    root: Path,
    params: Params,
    variant: str,
    stage: StageName,
    seed: Seed | None,
    folder: Path,
    merged: bool,
) -> None:
    """Write a trained model with a model card to ``folder``, for sentence-transformers.

    Args:
        root: the study's folder.
        stage: ``retriever`` or ``reranker``.
        folder: the target; must not exist.
        merged: whether to merge the adapter into the backbone's weights, so that loading needs neither PEFT
            nor the backbone; otherwise only the adapter and the head are saved. ``full`` and ``zero_shot``
            always have all weights.

    Raises:
        PeftirError: the model is missing, ``folder`` exists, or the method's weights cannot be merged.
    """
    source = root / layout.model(stage, variant, seed)
    maker = "untrained" if seed is None else f"train_{stage}"
    if not (source / "modules.json").is_file():
        raise PeftirError(
            f"{source}: no trained model here; `dvc repro {maker}@{source.name}` makes it, if the variant "
            "and the seed are listed in params.yaml"
        )
    if folder.exists():
        raise PeftirError(f"--to {folder}: is there already; name a folder that is not, or remove it first")
    adapter = source / "adapter_config.json"
    config = json.loads(adapter.read_text(encoding="utf-8")) if adapter.is_file() else {}
    card = model_card(
        root, as_settled(root, params), variant, stage, seed, needs_backbone=bool(config) and not merged
    )
    with replacing(folder) as partial:
        if config and merged:
            _write_merged(root, source, config, saving.MODEL_TYPES[stage], partial, variant)
        else:
            shutil.copytree(source, partial)
        (partial / "README.md").write_text(card, encoding="utf-8")


def _write_merged(
    root: Path, source: Path, config: dict[str, Any], kind: Any, target: Path, variant: str
) -> None:
    """Write the model in ``source`` with its adapter merged into the backbone."""
    name, revision = config["base_model_name_or_path"], config.get("revision")
    model = saving.load(kind, source, root)
    encoder = saving.transformer_of(model)
    head = {"num_labels": encoder.config.num_labels} if kind is CrossEncoder else {}
    recorded = manifest.read(source)
    folder = own_backbone(source, recorded["backbone"], root)
    whole = type(encoder).from_pretrained(folder, **manifest.loading(folder), **head)
    whole.config.pad_token_id = encoder.config.pad_token_id
    tuned = PeftModel.from_pretrained(whole, str(source))
    tuners.verify(tuned, source)
    try:
        model[0].model = tuned.merge_and_unload(safe_merge=True)
    except tuners.TunerError as error:
        raise PeftirError(
            f"--merged: {variant}: its modules are no change of the backbone's own weights, and "
            "sentence-transformers looks up an adapter's backbone by name, so one folder cannot hold both; "
            f"leave --merged out, and load it where {name} can be had or is in the cache"
        ) from error
    saving.save(model, target, name, revision, root, training=recorded.get("training"))
