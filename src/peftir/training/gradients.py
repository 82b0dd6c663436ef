"""Gradient norms of the trained modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftir.tuners.places import Backbone


@dataclass(frozen=True)
class Trained:
    """The trained weights of one module, and the index of its layer; ``None`` outside the layers."""

    layer: int | None
    weights: list[nn.Parameter]


def trained_modules(models: Mapping[str, PreTrainedModel]) -> dict[str, Trained]:
    """The trained weights of ``models`` by name of their module, from first to last.

    The module is the inserted one. The backbone's own weights are grouped by layer; those outside the layers,
    by the module that holds them. With several models, a name begins with that of its model.
    """
    return {
        f"{key}.{name}" if len(models) > 1 else name: module
        for key, model in models.items()
        for name, module in _trained_modules(model).items()
    }


def _trained_modules(model: PreTrainedModel) -> dict[str, Trained]:
    layers = Backbone.of(model).layers
    kinds = (BaseTunerLayer, ModulesToSaveWrapper)
    inserted_names = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    trained: dict[str, Trained] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            layer = next((i for i, prefix in enumerate(layers) if name.startswith(f"{prefix}.")), None)
            around = [module for module in inserted_names if name.startswith(f"{module}.")]
            inserted = max(around, key=len, default=None)
            module = inserted or (layers[layer] if layer is not None else name.rpartition(".")[0])
            trained.setdefault(module, Trained(layer, [])).weights.append(weight)
    return trained


class GradientNorms:
    """The mean gradient norm of each module between two points of a learning curve.

    Args:
        modules: weights by name of their module.
    """

    def __init__(self, modules: Mapping[str, list[nn.Parameter]]) -> None:
        self._modules = modules
        self._sum: Tensor | None = None
        self._steps = 0
        self.means: dict[str, list[float]] = {name: [] for name in modules}
        """One value per point, by module."""

    def add(self) -> None:
        """Add the norms of the weights' current gradients."""
        if self._modules:
            norms = torch.stack([_norm(weights) for weights in self._modules.values()])
            self._sum = norms if self._sum is None else self._sum + norms
            self._steps += 1

    def end_point(self) -> None:
        """Append the means of the norms added since the previous point."""
        if self._sum is not None:
            for name, value in zip(self.means, (self._sum / self._steps).tolist(), strict=True):
                self.means[name].append(value)
            self._sum, self._steps = None, 0


def _norm(weights: list[nn.Parameter]) -> Tensor:
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    # A weight on which the loss does not depend, such as a pooler's, has no gradient.
    return nn.utils.get_total_norm(gradients) if gradients else torch.zeros((), device=weights[0].device)
