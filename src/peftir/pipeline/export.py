"""Export a trained model to a folder with a model card: ``peftir export``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import PeftModel
from sentence_transformers import CrossEncoder

from peftir import tuners
from peftir.models import manifest, saving
from peftir.models.backbone import adapter_configs, own_backbone
from peftir.models.sides import modules_of, side_folders
from peftir.pipeline.backbone import as_settled
from peftir.pipeline.model_card import Form, model_card
from peftir.pipeline.publishing import write_indexes
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError
from peftir.system.files import replacing
from peftir.tuners.untouched import is_untouched


def export(
    root: Path,
    params: Params,
    variant: str,
    stage: StageName,
    seed: Seed | None,
    folder: Path,
    merged: bool,
    with_index: bool = False,
) -> None:
    """Write a trained model with a model card to ``folder``, for sentence-transformers.

    Args:
        root: the study's folder.
        stage: ``retriever`` or ``reranker``.
        folder: the target; must not exist.
        merged: whether to merge the adapter into the backbone's weights, so that loading needs neither PEFT
            nor the backbone; otherwise only the adapter and the head are saved. ``full`` and ``zero_shot``
            always have all weights.
        with_index: whether to write a folder for ``peftir serve``, with the model under ``models``, the
            documents, their indexes and the backbone.

    Raises:
        PeftirError: the model is missing, ``folder`` exists, or the method's weights cannot be merged.
    """
    source = trained_model(root, variant, stage, seed)
    adapters, params = adapter_configs(source), as_settled(root, params)
    form: Form = "adapter" if adapters and not merged else "whole"
    with new_folder(folder) as partial:
        model = partial / layout.model(stage, variant, seed) if with_index else partial
        if adapters and merged:
            config = json.loads(adapters[0].read_text(encoding="utf-8"))
            _write_merged(root, source, config, saving.MODEL_TYPES[stage], model, variant)
        else:
            shutil.copytree(source, model)
        if with_index:
            write_indexes(root, params, variant, stage, seed, partial)
        card = model_card(root, params, variant, stage, seed, form)
        (partial / "README.md").write_text(card, encoding="utf-8")


def trained_model(root: Path, variant: str, stage: StageName, seed: Seed | None) -> Path:
    """The folder of a model of the study in ``root``.

    Raises:
        PeftirError: the study does not have it.
    """
    source = root / layout.model(stage, variant, seed)
    maker = layout.maker_of(layout.model(stage, variant, seed))
    if not (source / "modules.json").is_file():
        raise PeftirError(
            f"{source}: no trained model here; `dvc repro {maker}` makes it, if the variant "
            "and the seed are listed in params.yaml"
        )
    return source


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes ``folder`` at the end.

    Raises:
        PeftirError: ``folder`` exists.
    """
    if folder.exists():
        raise PeftirError(f"--to {folder}: is there already; name a folder that is not, or remove it first")
    with replacing(folder) as partial:
        yield partial


def _write_merged(
    root: Path, source: Path, config: dict[str, Any], kind: Any, target: Path, variant: str
) -> None:
    """Write the model in ``source`` with its adapters merged into the backbone; ``config`` is that of one."""
    name, revision = config["base_model_name_or_path"], config.get("revision")
    model = saving.load(kind, source, root)
    recorded = manifest.read(source)
    folder = own_backbone(source, recorded["backbone"], root)
    if recorded["weights"]["dtype"] != "float32":
        raise PeftirError(
            f"--merged: {variant}: was trained on frozen weights in {recorded['weights']['dtype']}, and "
            "merging would round its change of them; leave --merged out"
        )
    modules, loading = modules_of(model), {"attn_implementation": recorded["weights"]["attention"]}
    try:
        for side, saved in side_folders(source).items():
            if (saved / "adapter_config.json").is_file():
                modules[side].model = _merged(modules[side].model, saved, folder, kind, loading)
    except tuners.TunerError as error:
        raise PeftirError(
            f"--merged: {variant}: its modules are no change of the backbone's own weights, and "
            "sentence-transformers looks up an adapter's backbone by name, so one folder cannot hold both; "
            f"leave --merged out, and load it where {name} can be had or is in the cache, or take --onnx"
        ) from error
    saving.save(model, target, name, revision, root, training=recorded.get("training"))


def _merged(encoder: Any, saved: Path, backbone: Path, kind: Any, loading: dict[str, Any]) -> Any:
    """The transformers model ``encoder``, loaded again from its parts, with its adapter merged."""
    head = {"num_labels": encoder.config.num_labels} if kind is CrossEncoder else {}
    whole = type(encoder).from_pretrained(backbone, dtype="float32", **loading, **head)
    whole.config.pad_token_id = encoder.config.pad_token_id
    if is_untouched(encoder):
        return whole
    tuned = PeftModel.from_pretrained(whole, str(saved))
    tuners.verify(tuned, saved)
    return tuned.merge_and_unload(safe_merge=True)
