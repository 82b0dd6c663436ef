"""What a PEFT adapter on a model holds, by the names of its weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from peft import get_peft_model_state_dict
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn

ALIGNMENT = 64
"""Bytes; where torch's own allocator puts CPU tensors."""

MAGNITUDE = "lora_magnitude_vector"
"""What the names of DoRA's magnitudes end with."""

WRAPPER = "base_model.model."
"""What names begin with in a ``PeftModel``, and in every adapter's file."""


def weights_of(model: nn.Module, adapter: str) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights of a PEFT adapter by their names in the model, heads included."""
    for place, module in model.named_modules():
        if isinstance(module, BaseTunerLayer | ModulesToSaveWrapper):
            for kind in module.adapter_layer_names:
                held = getattr(module, kind)
                if adapter in held:
                    name = f"{place}.{kind}.{adapter}"
                    if isinstance(held[adapter], nn.Parameter):
                        yield name, held[adapter]
                    else:
                        yield from ((f"{name}.{rest}", p) for rest, p in held[adapter].named_parameters())


def buffers_of(model: nn.Module, adapter: str) -> Iterator[tuple[str, torch.Tensor]]:
    """What some types of PEFT save besides the weights of an adapter, such as indices of weights."""
    for place, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            for kind, held in nn.Module.named_children(module):  # type: ignore[arg-type]
                if isinstance(held, BufferDict) and held.persistent and adapter in held:
                    yield f"{place}.{kind}.{adapter}", held[adapter]


def held(model: nn.Module, adapter: str) -> dict[str, torch.Tensor]:
    """What PEFT would save of an adapter on a model."""
    # PEFT takes adapters that were put onto a part of the model, which may be shared, for this one's.
    others = {
        name
        for module in model.modules()
        if isinstance(module, BaseTunerLayer | ModulesToSaveWrapper)
        for kind in module.adapter_layer_names
        for name in getattr(module, kind)
    } - {adapter}
    without = {weight for other in others for weight, _ in weights_of(model, other)}
    state = {name: weight for name, weight in model.state_dict().items() if name not in without}
    weights = get_peft_model_state_dict(
        model, state_dict=state, adapter_name=adapter, save_embedding_layers=False
    )
    return {plain_name(name): weight for name, weight in weights.items()}


def align(model: nn.Module) -> None:
    """Copy adapter weights that lie at odd addresses, as weights mapped from a file do.

    Matrix products of misaligned weights can differ in the last bit; with this a loaded model gives the very
    scores that it gave when it was saved.
    """
    for module in model.modules():
        if isinstance(module, BaseTunerLayer | ModulesToSaveWrapper):
            for parameter in module.parameters():
                parameter.data = aligned(parameter.data)


def aligned(weight: torch.Tensor) -> torch.Tensor:
    """``weight``, or a copy if it lies at an odd address."""
    return weight.clone() if weight.device.type == "cpu" and weight.data_ptr() % ALIGNMENT else weight


def plain_name(name: str) -> str:
    """A weight's name in a file, however the model is wrapped and DoRA's magnitudes are written."""
    return name.removeprefix(WRAPPER).replace(f"{MAGNITUDE}.weight", MAGNITUDE)
