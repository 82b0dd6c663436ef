"""Save and load trained models: folders in sentence-transformers format, without the backbone's weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir import tuners
from peftir.models import manifest
from peftir.models.backbone import adapter_configs, backbone_folder, base_name, on_own_backbone, record_of
from peftir.models.loading import (
    keep_4_bit_weights,
    reads_packed_weights,
    refuse_other_formats,
    weights_of_backbone,
)
from peftir.models.precision import head_in_float32
from peftir.models.sides import (
    alone,
    joined,
    layers_after,
    modules_of,
    share_frozen,
    side_folder,
    side_folders,
    transformers_of,
    tunable_of,
    tuned_sides,
)
from peftir.study import layout
from peftir.study.params import MethodParams
from peftir.system.errors import REMEDIES, PeftirError, reason_of, trouble_of
from peftir.system.files import changed_file, replacing, unusable
from peftir.tuners.loading import magnitudes_for_transformers, reload_in_float32
from peftir.tuners.places import Backbone

MODEL_TYPES: dict[str, Any] = {"retriever": SentenceTransformer, "reranker": CrossEncoder}
QUANTIZATION = (
    *("quant_method", "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_compute_dtype"),
    "llm_int8_skip_modules",
)
"""The fields of a quantization that are saved with a model; the others are defaults."""

Model = TypeVar("Model", SentenceTransformer, CrossEncoder)


def transformer_of(model: SentenceTransformer | CrossEncoder) -> Any:
    """The transformers model inside ``model``, to which tuners attach; of several, the queries'."""
    return next(iter(transformers_of(model).values()))


def attach(model: SentenceTransformer | CrossEncoder, variant: str, method: MethodParams) -> dict[str, Any]:
    """Freeze the backbone of ``model``, insert ``method``'s trainable weights and return its settings.

    A budget is that of all sides together, so each gets an equal share of it.

    Raises:
        PeftirError: the settings are invalid, or do not fit the backbone or the format of its weights.
    """
    encoders, knobs, weights = tunable_of(model), method.knobs, weights_of_backbone(transformer_of(model))
    _refuse_training_in(weights, variant, method)
    if method.budget is not None:
        knobs["budget"] = method.budget / len(encoders)
    try:
        for encoder in encoders.values():
            settled = tuners.attach(encoder, method.type, **knobs)
    except tuners.TunerError as error:
        shared = " (of each side)" if len(encoders) > 1 and str(error).startswith("budget:") else ""
        raise PeftirError(f"params.yaml: methods.{variant}.{error}{shared}") from error
    # Dense layers are common to both sides, of which one may have to stay as it is.
    all_trained = tuners.METHODS[method.type].trains_backbone and tuned_sides(model) != "query"
    layers_after(model).requires_grad_(all_trained)
    _refuse_packed(weights, variant, method, encoders.values())
    if weights != "float32":  # PEFT's LoRA would have the precision of the products with 4-bit weights
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    share_frozen(model)
    return settled


def _refuse_training_in(weights: str, variant: str, method: MethodParams) -> None:
    if weights != "float32" and tuners.METHODS[method.type].trains_backbone:
        raise PeftirError(
            f"params.yaml: methods.{variant}.type: got {method.type!r}, which trains the backbone's own "
            f"weights, but backbone.weights is {weights}, for frozen weights only; expected float32, or "
            "another method"
        )


def _refuse_packed(weights: str, variant: str, method: MethodParams, encoders: Iterable[Any]) -> None:
    wrapper = next(filter(None, map(reads_packed_weights, encoders)), None) if weights == "nf4" else None
    if wrapper:
        raise PeftirError(
            f"params.yaml: methods.{variant}.type: got {method.type!r}, whose {wrapper} reads the weights "
            "that it changes, which PEFT implements for 4-bit weights in few types, such as LORA and IA3; "
            "expected one of these, or backbone.weights float32 or bfloat16"
        )


def start_from(
    model: SentenceTransformer | CrossEncoder, variant: str, folder: Path, backbone: dict[str, Any]
) -> None:
    """Give the adapters that were attached to ``model`` the weights of the trained model in ``folder``.

    Args:
        model: with ``variant``'s method attached.
        variant: for errors.
        folder: a model that :func:`save` wrote.
        backbone: of ``model``, as of :func:`peftir.models.backbone.record_of`.

    Raises:
        PeftirError: there is no such model in ``folder``, or it is of another backbone, method or size, or of
            other sides.
    """
    key = f"params.yaml: methods.{variant}.start_from"
    if not adapter_configs(folder):
        raise PeftirError(f"{key}: {folder}: no adapter_config.json; expected the folder of a tuned model")
    try:
        recorded = manifest.read(folder)
    except (OSError, ValueError) as error:
        raise unusable(folder / manifest.FILE, error) from error
    file = changed_file(recorded["backbone"]["sha256"], backbone["sha256"])
    if file is not None:
        raise PeftirError(
            f"{key}: {folder}: was trained on another backbone than {backbone['name']}: {file} has other "
            "content; expected a model of the same backbone"
        )
    folders, encoders = side_folders(folder), transformers_of(model)
    if folders.keys() != encoders.keys():
        raise PeftirError(f"{key}: {folder}: expected a model that was trained with the same retriever.tune")
    try:
        for side, encoder in encoders.items():
            tuners.continue_from(encoder, folders[side])
    except tuners.TunerError as error:
        raise PeftirError(f"params.yaml: methods.{variant}.{error}") from error


def head_of(model: SentenceTransformer | CrossEncoder) -> Callable[[str], bool]:
    """A predicate: whether a weight, by its name, belongs to the classification head."""
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

    The settings that affect its outputs are saved too, see :mod:`peftir.models.manifest`. Equal weights and
    settings result in byte-identical files.

    Args:
        backbone: the hub id or local folder of the backbone.
        revision: the pinned revision of the hub id.
        root: the study's folder, to which the path of a local backbone is relative in the adapter.
        training: the section of the manifest about the training.
    """
    for encoder in transformers_of(model).values():
        for config in getattr(encoder, "peft_config", {}).values():
            # PEFT reads the backbone's config.json when it saves, from the hub if this is no folder.
            config.base_model_name_or_path = str(backbone_folder(backbone, revision, root))
            config.revision = revision
    # A tokenizer would save the truncation and padding of its last call.
    if tokenizer := getattr(model.tokenizer, "backend_tokenizer", None):
        tokenizer.no_truncation()
        tokenizer.no_padding()
    # A tokenizer would save whether this process is offline.
    getattr(model.tokenizer, "init_kwargs", {}).pop("local_files_only", None)
    with replacing(folder) as partial:
        for side in modules_of(model):
            target = str(side_folder(partial, side))
            alone(model, side).save_pretrained(target, create_model_card=False, safe_serialization=True)
        for config_file in adapter_configs(partial):
            magnitudes_for_transformers(config_file.with_name("adapter_model.safetensors"))
            _normalize(config_file, base_name(backbone, root))
        for side in modules_of(model):
            _record_loading(side_folder(partial, side) / "sentence_bert_config.json", model)
        sections = {"backbone": record_of(backbone, revision, root), **manifest.describe(model)}
        manifest.write(partial, sections | ({"training": training} if training else {}))
        for path in partial.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


def stored_bytes(folder: Path) -> int:
    """The size in bytes of the weights in a model's folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def load(kind: Callable[..., Model], folder: Path, root: Path = Path()) -> Model:
    """Load a model that :func:`save` wrote.

    Args:
        kind: ``SentenceTransformer`` or ``CrossEncoder``.
        folder: the model's folder.
        root: the study's folder, to which the path of a local backbone is relative.

    Raises:
        PeftirError: the folder is missing, a file in it is damaged, or the loaded model differs from its
            manifest.
    """
    if not (folder / "modules.json").is_file():
        maker = layout.maker_of(Path(os.path.relpath(folder, root)))
        remedy = f"`dvc repro {maker}` makes it" if maker else "expected one that peftir saved"
        raise PeftirError(f"{folder}: no trained model here; {remedy}")
    manifest.forbid_reduced_precision()
    try:
        recorded = manifest.read(folder)
        with on_own_backbone(folder, recorded["backbone"], root) as place:
            model = kind(str(place))
            if "document" in (folders := side_folders(place)):
                model[0] = joined(model[0], kind(str(folders["document"]))[0])
        encoders, weights = transformers_of(model), recorded["weights"]["dtype"]
        for side, saved in side_folders(folder).items():
            head_in_float32(encoders[side])
            if (saved / "adapter_config.json").is_file():
                if weights != "float32":
                    reload_in_float32(encoders[side], saved)
                tuners.verify(encoders[side], saved)
        refuse_other_formats(model, str(folder), weights)
        keep_4_bit_weights(model)
        manifest.compare(model, recorded)
        return model
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _not_loaded(folder, root, error) from error


def _not_loaded(folder: Path, root: Path, error: Exception) -> PeftirError:
    """The error to raise for an ``error`` in loading the model in ``folder``.

    Other causes are possible, so the folder is reported as damaged only if one of its files is.
    """
    if trouble_of(error) in REMEDIES:
        return unusable(folder, error)
    maker = layout.maker_of(Path(os.path.relpath(folder, root)))
    again = f"make the model again: `dvc repro --force --single-item {maker}`"
    remedy = again if maker else "restore the folder, or name another model that peftir saved"
    for file in sorted(folder.rglob("*.*")):
        try:
            if file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix == ".safetensors":
                with safe_open(file, "pt"):
                    pass
        except (OSError, ValueError, SafetensorError) as damage:
            return unusable(file, damage, remedy)
    return PeftirError(
        f"{folder}: the model cannot be loaded ({reason_of(error)}); its files are whole, "
        f"but if one is missing, {remedy}"
    )


def _normalize(config: Path, base: str) -> None:
    """Set an adapter's backbone to ``base`` and sort its lists, some of which PEFT writes from sets."""
    content = json.loads(config.read_text(encoding="utf-8"))
    for key, value in content.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            content[key] = sorted(value)
    content["base_model_name_or_path"] = base
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _record_loading(config: Path, model: SentenceTransformer | CrossEncoder) -> None:
    """Add the settings that the backbone's files lack to sentence-transformers' configuration.

    With them, a plain ``CrossEncoder(folder)`` loads the saved model; an adapter's folder has no config.json.
    """
    settings = transformer_of(model).config
    content = json.loads(config.read_text(encoding="utf-8"))
    weights = weights_of_backbone(transformer_of(model))
    content["model_kwargs"] = {
        "dtype": "bfloat16" if weights == "bfloat16" else "float32",
        "attn_implementation": settings._attn_implementation,
    }
    # All weights that were saved are quantized already, and their config.json says so.
    if weights == "nf4" and (config.parent / "adapter_config.json").is_file():
        quantization = settings.quantization_config.to_dict()
        content["model_kwargs"]["quantization_config"] = {
            key: quantization[key] for key in QUANTIZATION if key in quantization
        }
    if isinstance(model, CrossEncoder):
        # The heads of decoders use the padding token to find each text's last token.
        content["config_kwargs"] = {"num_labels": settings.num_labels, "pad_token_id": settings.pad_token_id}
    config.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
