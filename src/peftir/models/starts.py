"""What a backbone brings besides its encoder: pooling and Dense layers, or a trained head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sentence_transformers.sentence_transformer.modules import Dense, Pooling

from peftir.study.starts import YesNoParams
from peftir.system.errors import PeftirError

SKIPPED = ("Transformer", "Normalize")
"""Modules of a sentence-transformers model that peftir has its own of."""


def own_layers(folder: Path) -> list[Any]:
    """The pooling and the Dense layers of the sentence-transformers model in ``folder``, in their order.

    Raises:
        PeftirError: ``folder`` is no such model, or has a module that is not supported.
    """
    file = folder / "modules.json"
    if not file.is_file():
        raise PeftirError(
            f"backbone.pooling: model: {folder} has no modules.json; expected a model of "
            "sentence-transformers, or cls, mean or last as backbone.pooling"
        )
    layers: list[Any] = []
    for module in json.loads(file.read_text(encoding="utf-8")):
        kind, place = module["type"].rpartition(".")[2], module["path"]
        if kind == "Pooling":
            layers.append(Pooling.load(str(folder), subfolder=place))
        elif kind == "Dense":
            _check_dense(folder / place)
            layers.append(Dense.load(str(folder), subfolder=place))
        elif kind not in SKIPPED:
            raise PeftirError(
                f"{file}: type {module['type']!r}: expected Transformer, Pooling, Dense and Normalize alone; "
                "set backbone.pooling to cls, mean or last to leave all but the transformer out"
            )
    if not layers or not isinstance(layers[0], Pooling):
        raise PeftirError(f"{file}: expected a Pooling after the Transformer")
    if not layers[0].include_prompt:
        raise PeftirError(
            f"{folder}: its pooling leaves the prompt out, which peftir does not support; set "
            "backbone.pooling to cls, mean or last"
        )
    return layers


def head_outputs(folder: Path) -> int | None:
    """The number of outputs of the classification head of the model in ``folder``; ``None`` without one."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not _is(config, "ForSequenceClassification"):
        return None
    labels = config.get("id2label")
    return len(labels) if labels else int(config.get("num_labels", 2))


def scores_untrained(folder: Path, yes_no: YesNoParams | None) -> bool:
    """Whether a re-ranker on the backbone in ``folder`` can score before it is trained."""
    return yes_no is not None or head_outputs(folder) is not None


def refuse_several_outputs(folder: Path, backbone: str) -> None:
    """Raise an error if the classification head of ``backbone``, in ``folder``, has several outputs.

    Raises:
        PeftirError: it does.
    """
    if (outputs := head_outputs(folder)) not in (None, 1):
        raise PeftirError(
            f"backbone.name: {backbone!r}: has a head of {outputs} outputs; expected a cross-encoder "
            "with one, or a model without a head: save its base_model"
        )


def is_causal(folder: Path) -> bool:
    """Whether the model in ``folder`` is a causal language model, with a head over its vocabulary."""
    return _is(json.loads((folder / "config.json").read_text(encoding="utf-8")), "ForCausalLM")


def _is(config: dict[str, Any], ending: str) -> bool:
    return any(name.endswith(ending) for name in config.get("architectures") or [])


def _check_dense(folder: Path) -> None:
    activation = json.loads((folder / "config.json").read_text(encoding="utf-8"))["activation_function"]
    if not activation.startswith("torch.nn."):
        raise PeftirError(
            f"{folder / 'config.json'}: activation_function: {activation!r}: expected one of torch.nn, since "
            "no other code is run"
        )
    if not (folder / "model.safetensors").is_file():
        raise PeftirError(
            f"{folder}: no model.safetensors; save the model again with a current sentence-transformers"
        )
