"""Loading an adapter is exact or an error.

PEFT and transformers load what they find: a weight missing in the file stays random, with at most a line
in the log, and a head that was never saved looks like a trained one. Adapters of this package refuse that
by themselves, whichever library loads them: PEFT hands the file's weights to ``InsertTuner``, and
transformers calls :func:`load_pretrained_model` on a model that has such an adapter. For adapters of PEFT's
own types, such as LoRA, there is :func:`load`, and :func:`verify` for those that a library has loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import (
    PeftConfig,
    PeftModel,
    load_peft_weights,
    set_peft_model_state_dict,
)
from peft.utils.other import ModulesToSaveWrapper
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.core_model_loading import WeightRenaming

from peftir.tuners.adapter_weights import (
    MAGNITUDE,
    WRAPPER,
    align,
    aligned,
    buffers_of,
    held,
    plain_name,
    weights_of,
)
from peftir.tuners.config import InsertConfig
from peftir.tuners.errors import TunerError

NO_SETTINGS = (
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"),
)
"""Fields of a configuration that say where an adapter comes from."""


def load(model: Any, folder: str | Path, adapter_name: str = "default") -> None:
    """Load a PEFT adapter of any type onto a model, in place, exactly as it was saved.

    This is the model's own ``load_adapter``, followed by :func:`verify`. After an error, load the backbone
    again: the adapter is already on it.

    Args:
        model: a transformers model or a ``PeftModel``; of a SentenceTransformer or a CrossEncoder take
            ``[0].model``.
        folder: the adapter's, with ``adapter_config.json`` and ``adapter_model.safetensors``.
        adapter_name: what the adapter is called on the model, which has none of that name yet.

    Raises:
        TunerError: the name is taken, or as for :func:`verify`.
    """
    if adapter_name in getattr(model, "peft_config", {}):
        raise TunerError(
            f"adapter_name: got {adapter_name!r}, but the model has an adapter of that name; expected another"
        )
    try:
        model.load_adapter(str(folder), adapter_name=adapter_name)
    except (KeyError, RuntimeError):
        # Raised by the libraries for a head that is not in the file, and for other shapes.
        if adapter_name in getattr(model, "peft_config", {}):
            _compare(model, held(model, adapter_name), _stored(folder))
        raise
    if getattr(model.peft_config[adapter_name], "use_dora", False):
        # Their names in PEFT's file are not those that transformers looks for.
        stored = load_peft_weights(str(folder), device="cpu")
        prefix = "" if isinstance(model, PeftModel) else WRAPPER
        weights = {name.removeprefix(prefix): weight for name, weight in stored.items()}
        set_peft_model_state_dict(model, weights, adapter_name)
    verify(model, folder, adapter_name)


def continue_from(model: Any, folder: str | Path, adapter_name: str = "default") -> None:
    """Give an adapter on a model the weights of a saved one with the same configuration.

    Args:
        model: a transformers model.
        folder: the saved adapter's.
        adapter_name: what the adapter is called on the model.

    Raises:
        TunerError: the configurations differ, or as for :func:`verify`.
    """
    own, saved = (
        _settings(config)
        for config in (model.peft_config[adapter_name], PeftConfig.from_pretrained(str(folder)))
    )
    for key in ["peft_type", *sorted(own.keys() | saved.keys())]:
        if own.get(key) != saved.get(key):
            raise TunerError(
                f"start_from: {folder}: {key} is {saved.get(key)!r}, the method's is {own.get(key)!r}; "
                "expected an adapter of the same settings"
            )
    _compare(model, held(model, adapter_name), _stored(folder))
    stored = load_peft_weights(str(folder), device="cpu")
    set_peft_model_state_dict(
        model, {name.removeprefix(WRAPPER): weight for name, weight in stored.items()}, adapter_name
    )
    verify(model, folder, adapter_name)


def _settings(config: PeftConfig) -> dict[str, Any]:
    """The fields of a configuration that determine what an adapter computes."""
    return {
        key: sorted(value) if isinstance(value, set | list) else getattr(value, "value", value)
        for key, value in config.to_dict().items()
        if key not in NO_SETTINGS
    }


def verify(model: Any, folder: str | Path, adapter_name: str = "default") -> None:
    """Check that an adapter on a model is the one in a folder, weight by weight.

    For what a library has loaded by itself, as ``SentenceTransformer(folder)`` does. The adapters' weights
    then lie where torch would put them, see :func:`align`.

    Args:
        model: as for :func:`load`.
        folder: as for :func:`load`.
        adapter_name: what the adapter is called on the model.

    Raises:
        TunerError: the file and the adapter differ in a weight's name, shape or values.
    """
    if adapter_name not in getattr(model, "peft_config", {}):
        raise TunerError(
            f"adapter_name: got {adapter_name!r}, expected the name of an adapter on the model; load the "
            "adapter first"
        )
    on_model, stored = held(model, adapter_name), _stored(folder)
    _compare(model, on_model, stored)
    for name, weight in stored.items():
        # Without tolerance; weights of a training that diverged are equal too.
        if not torch.allclose(on_model[name], weight.to(on_model[name]), rtol=0, atol=0, equal_nan=True):
            raise TunerError(
                f"{folder}: {name} has other values than on the model; expected the adapter that was loaded "
                "from here: load it again"
            )
    align(model)


def reload_in_float32(model: Any, folder: str | Path, adapter_name: str = "default") -> None:
    """Convert an adapter's weights on a model to float32, and set them as they are in ``folder``.

    On a model in bfloat16 or 4 bits, weights may have been rounded to bfloat16 as they were loaded.
    """
    for _, parameter in weights_of(model, adapter_name):
        parameter.data = parameter.data.float()
    on_model = held(model, adapter_name)
    for name, weight in _stored(folder).items():
        if name in on_model:  # else verify says so
            on_model[name].copy_(weight)


def load_pretrained_model(model: Any, **kwargs: Any) -> Any:
    """transformers' function of this name, for models with an adapter of this package: exact or an error.

    ``PreTrainedModel.load_adapter`` calls it with the adapter on the model and the file's weights unread.
    """
    name = list(model.peft_config)[-1]  # the adapter that was put on last
    # transformers knows one prefix for a type; the name of the adapter follows what begins with it.
    for prefix in getattr(model.peft_config[name], "prefixes", ()):
        kwargs["load_config"].weight_mapping.append(WeightRenaming(rf"({prefix}[^\.]*)", rf"\1.{name}"))
    loaded = type(model)._load_pretrained_model(model=model, **kwargs)
    info = loaded[0]
    if isinstance(model.peft_config[name], InsertConfig):
        # What is missing also names the backbone and the other adapters, which are not in this one's file.
        missing = set(info.missing_keys).intersection(weight for weight, _ in weights_of(model, name))
        _refuse(model, missing, info.unexpected_keys, {key[0]: key[1:] for key in info.mismatched_keys})
        align(model)
    return loaded


def received(model: nn.Module, adapter: str, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights that PEFT is about to put into a model, by their names there: exactly the adapter's.

    Raises:
        TunerError: they are not.
    """
    _compare(model, {**dict(weights_of(model, adapter)), **dict(buffers_of(model, adapter))}, weights)
    return {name: aligned(weight) for name, weight in weights.items()}


def _stored(folder: str | Path) -> dict[str, torch.Tensor]:
    weights = load_peft_weights(str(folder), device="cpu")
    return {plain_name(name): weight for name, weight in weights.items()}


def magnitudes_for_transformers(file: Path) -> None:
    """Rename DoRA's magnitudes in an adapter's file, so that transformers finds them on loading.

    PEFT leaves ``.weight`` out of their names as it saves. It puts it back on loading, transformers does not.
    """
    weights = load_file(file)
    if any(name.endswith(MAGNITUDE) for name in weights):
        renamed = {f"{n}.weight" if n.endswith(MAGNITUDE) else n: w for n, w in sorted(weights.items())}
        save_file(renamed, file, metadata={"format": "pt"})


def _compare(
    model: nn.Module, expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]
) -> None:
    both = expected.keys() & found.keys()
    shapes = {name: (found[name].shape, expected[name].shape) for name in both}
    _refuse(
        model,
        expected.keys() - both,
        found.keys() - both,
        {name: pair for name, pair in shapes.items() if pair[0] != pair[1]},
    )


def _refuse(
    model: nn.Module, missing: Iterable[str], unexpected: Iterable[str], reshaped: Mapping[str, Any]
) -> None:
    """Raise an error if an adapter's file does not hold exactly the weights of its configuration."""
    expected = "expected exactly the weights that adapter_config.json describes"
    for kind, names in (("missing", sorted(missing)), ("unexpected", sorted(unexpected))):
        if names:
            headless = kind == "missing" and any(_of_head(model, name) for name in names)
            advice = "load what has no head onto model.base_model" if headless else "save the model again"
            raise TunerError(
                f"adapter_model.safetensors: {len(names)} {kind} weight(s), the first is {names[0]!r}; "
                f"{expected}: {advice}"
            )
    for name, (found, wanted) in sorted(reshaped.items()):
        raise TunerError(
            f"adapter_model.safetensors: {name!r} has shape {list(found)} instead of {list(wanted)}; "
            f"{expected}: save the model again"
        )


def _of_head(model: nn.Module, weight: str) -> bool:
    heads = (place for place, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper))
    return any(weight.removeprefix(WRAPPER).startswith(f"{head.removeprefix(WRAPPER)}.") for head in heads)
