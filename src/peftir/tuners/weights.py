"""Count the trained weights of a model, and set its mode for training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from peftir.tuners.places import WRAPPED, Backbone
from peftir.tuners.untouched import is_untouched


@dataclass(frozen=True)
class Weights:
    """Numbers of parameters.

    Attributes:
        trained: trained parameters without the head, including the biases of inserted modules.
        trained_as_paper: the same without the biases of inserted modules, as counted by Ma et al.
        head: parameters of the classification head (0 for a bi-encoder).
        backbone: parameters of the encoder, without inserted modules and head.
    """

    trained: int
    trained_as_paper: int
    head: int
    backbone: int

    @property
    def share(self) -> float:
        """``trained`` as a share of the backbone."""
        return self.trained / self.backbone


def count(model: PreTrainedModel) -> Weights:
    """Count the parameters of a model, with or without a tuner.

    Trained are the active adapter's weights, even if loaded frozen for inference, and the backbone's weights
    that require gradients. Budgets are shares ``trained / backbone`` and so include the biases of inserted
    modules.

    Raises:
        TunerError: the family of the model is unknown.
    """
    head_names = Backbone.of(model).head
    inserted = dict(_inserted(model))
    head: dict[int, nn.Parameter] = {}
    replaced: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, ModulesToSaveWrapper):
            replaced |= {id(p) for p in module.parameters()}
            for adapter in module.active_adapters:
                head |= {id(p): p for p in module.modules_to_save[adapter].parameters()}
        elif any(name == part or name.endswith(f".{part}") for part in head_names):
            head |= {id(p): p for p in module.parameters() if id(p) not in replaced}
    parameters = {id(p): p for p in model.parameters()}
    excluded = set(head) | replaced | {id(p) for p in _all_inserted(model)}
    backbone = [p for key, p in parameters.items() if key not in excluded]
    trained_backbone = sum(p.numel() for p in backbone if p.requires_grad)
    biases = sum(p.numel() for name, p in inserted.items() if name.endswith(".bias"))
    # Some tuners share weights between layers.
    trained = trained_backbone + sum(p.numel() for p in {id(p): p for p in inserted.values()}.values())
    return Weights(
        trained=trained,
        trained_as_paper=trained - biases,
        head=sum(p.numel() for p in head.values()),
        backbone=sum(_numel(p) for p in backbone),
    )


def _numel(parameter: nn.Parameter) -> int:
    """The number of weights, of which bitsandbytes packs two in a byte."""
    packed = getattr(parameter, "quant_state", None)
    return parameter.numel() if packed is None else packed.shape.numel()


def train_mode(model: nn.Module, *, backbone: bool) -> None:
    """Put the inserted modules into training mode, and the others too if ``backbone``, else into evaluation.

    Dropout inside inserted modules is a setting of the method, that of the backbone a setting of its own. A
    side of a bi-encoder that is not tuned (:mod:`peftir.tuners.untouched`) has none.
    """
    model.train(backbone)
    for _, layer in _tuner_layers(model):
        layer.train()  # type: ignore[attr-defined]
    for _, layer in _tuner_layers(model):
        wrapped = getattr(layer, WRAPPED, None)
        if wrapped is not None and not isinstance(wrapped, BaseTunerLayer):
            wrapped.train(backbone)
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and is_untouched(part):
            part.eval()


def _tuner_layers(model: nn.Module) -> Iterator[tuple[str, BaseTunerLayer]]:
    return ((name, m) for name, m in model.named_modules() if isinstance(m, BaseTunerLayer))


def _all_inserted(model: nn.Module) -> Iterator[nn.Parameter]:
    """What tuners put into the model, trained or not; not the backbone's own modules, which they wrap."""
    for _, layer in _tuner_layers(model):
        for name, parameter in layer.named_parameters():  # type: ignore[attr-defined]
            if not name.startswith(f"{WRAPPED}."):
                yield parameter


def _inserted(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights of the active adapters, by name."""
    for place, layer in _tuner_layers(model):
        for kind in layer.adapter_layer_names:
            for name, parameter in getattr(layer, kind).named_parameters():
                if name.split(".")[0] in layer.active_adapters:
                    yield f"{place}.{kind}.{name}", parameter
