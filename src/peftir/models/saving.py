"""Trained models on disk: folders that sentence-transformers loads, without the backbone's weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir import tuners
from peftir.models import manifest
from peftir.models.backbone import backbone_folder, base_name, on_own_backbone, record_of
from peftir.study.params import MethodParams
from peftir.system.errors import REMEDIES, PeftirError, reason_of, trouble_of
from peftir.system.files import replacing, unusable
from peftir.tuners.places import Backbone

MODEL_TYPES: dict[str, Any] = {"retriever": SentenceTransformer, "reranker": CrossEncoder}
Model = TypeVar("Model", SentenceTransformer, CrossEncoder)


def transformer_of(model: SentenceTransformer | CrossEncoder) -> Any:
    """The transformers model inside, which the tuners attach to."""
    return model[0].model


def attach(model: SentenceTransformer | CrossEncoder, variant: str, method: MethodParams) -> dict[str, Any]:
    """Freeze the backbone in ``model`` and insert ``method``'s trainable weights; gives the knobs in effect.

    Raises:
        PeftirError: the method's settings are wrong or do not fit the backbone.
    """
    try:
        return tuners.attach(transformer_of(model), method.type, **method.knobs)
    except tuners.TunerError as error:
        raise PeftirError(f"params.yaml: methods.{variant}.{error}") from error


def head_of(model: SentenceTransformer | CrossEncoder) -> Callable[[str], bool]:
    """A function that tells by a weight's name whether it belongs to the classification head."""
    names = Backbone.of(transformer_of(model)).head
    return lambda weight: any(f".{name}." in f".{weight}" for name in names)


def save(
    model: SentenceTransformer | CrossEncoder,
    folder: Path,
    backbone: str,
    revision: str | None = None,
    root: Path = Path(),
    training: dict[str, Any] | None = None,
) -> None:
    """Write ``model`` to ``folder``: adapter and head (all weights if all were trained), and the tokenizer.

    With them go the choices that its numbers hang on, see :mod:`peftir.models.manifest`. The bytes follow
    from these and the weights alone: no dates, paths or orders that change from run to run.

    Args:
        backbone: what the adapter calls its backbone: a hub id or a local folder.
        revision: the one of the hub id that was pinned.
        root: the study's folder; the adapter names a local backbone by its path from there.
        training: how it was trained, for the manifest.
    """
    for config in getattr(transformer_of(model), "peft_config", {}).values():
        # PEFT looks at the config.json of the backbone as it saves, and asks the hub if there is no folder.
        config.base_model_name_or_path = str(backbone_folder(backbone, revision, root))
        config.revision = revision
    # The tokenizer remembers how the last texts were cut and filled up, and would write that down.
    if tokenizer := getattr(model.tokenizer, "backend_tokenizer", None):
        tokenizer.no_truncation()
        tokenizer.no_padding()
    # Whether the process that loads it is offline is not the tokenizer's to remember.
    getattr(model.tokenizer, "init_kwargs", {}).pop("local_files_only", None)
    with replacing(folder) as partial:
        model.save_pretrained(str(partial), create_model_card=False, safe_serialization=True)
        _tidy(partial / "adapter_config.json", base_name(backbone, root))
        _keep_how_to_load(partial / "sentence_bert_config.json", model)
        sections = {"backbone": record_of(backbone, revision, root), **manifest.describe(model)}
        manifest.write(partial, sections | ({"training": training} if training else {}))
        for path in partial.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


def stored_bytes(folder: Path) -> int:
    """What the weights in a model's folder take on disk."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def load(kind: Callable[..., Model], folder: Path, root: Path = Path()) -> Model:
    """Load a model that :func:`save` wrote.

    Args:
        kind: ``SentenceTransformer`` or ``CrossEncoder``.
        folder: the model's.
        root: the study's folder, which the path of a local backbone starts from.

    Raises:
        PeftirError: the folder is missing or a file in it is damaged, or it is loaded otherwise than its
            manifest says.
    """
    if not (folder / "modules.json").is_file():
        raise PeftirError(f"{folder}: no trained model here; `dvc repro` makes it")
    manifest.forbid_reduced_precision()
    try:
        recorded = manifest.read(folder)
        with on_own_backbone(folder, recorded["backbone"], root) as place:
            model = kind(str(place))
        if (folder / "adapter_config.json").is_file():
            tuners.verify(transformer_of(model), folder)
        manifest.refuse_other_formats(model, str(folder))
        manifest.compare(model, recorded)
        return model
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _not_loaded(folder, error) from error


def _not_loaded(folder: Path, error: Exception) -> PeftirError:
    """What to say of ``error``, met in loading the model in ``folder``.

    Much can fail there that is not the folder's fault, so it is damaged only if one of its files is.
    """
    if trouble_of(error) in REMEDIES:
        return unusable(folder, error)
    stage = f"train_{folder.parent.name}@{folder.name}"
    again = f"train the model again: `dvc repro --force --single-item {stage}`"
    for file in sorted(folder.rglob("*.*")):
        try:
            if file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix == ".safetensors":
                with safe_open(file, "pt"):
                    pass
        except (OSError, ValueError, SafetensorError) as why:
            return unusable(file, why, again)
    return PeftirError(
        f"{folder}: the model cannot be loaded ({reason_of(error)}); its files are whole, "
        f"but if one is missing, {again}"
    )


def _tidy(config: Path, base: str) -> None:
    """Name an adapter's backbone ``base``, and put lists in order: PEFT writes some from sets."""
    if config.is_file():
        content = json.loads(config.read_text(encoding="utf-8"))
        for key, value in content.items():
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                content[key] = sorted(value)
        content["base_model_name_or_path"] = base
        config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _keep_how_to_load(config: Path, model: SentenceTransformer | CrossEncoder) -> None:
    """Write down for sentence-transformers what the model in memory has and its backbone's files do not say.

    So a plain ``CrossEncoder(folder)`` is the model that was saved: an adapter's folder has no config.json.
    """
    chosen = transformer_of(model).config
    content = json.loads(config.read_text(encoding="utf-8"))
    content["model_kwargs"] = {"dtype": "float32", "attn_implementation": chosen._attn_implementation}
    if isinstance(model, CrossEncoder):
        # The heads of decoders look for the padding token to find each text's last one.
        content["config_kwargs"] = {"num_labels": chosen.num_labels, "pad_token_id": chosen.pad_token_id}
    config.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
