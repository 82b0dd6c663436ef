"""How much gradient reaches each trained module: do the far ones get less?"""

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
    """Weights that are trained and belong together, and the number of their layer if they are in one."""

    layer: int | None
    weights: list[nn.Parameter]


def trained_modules(model: PreTrainedModel) -> dict[str, Trained]:
    """The trained weights of ``model`` by name of their module, first to last.

    That is the inserted module or, for the backbone's own weights, the layer; outside the layers it is the
    module that holds them.
    """
    layers = Backbone.of(model).layers
    kinds = (BaseTunerLayer, ModulesToSaveWrapper)
    places = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    found: dict[str, Trained] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            layer = next((i for i, prefix in enumerate(layers) if name.startswith(f"{prefix}.")), None)
            inserted = max((place for place in places if name.startswith(f"{place}.")), key=len, default=None)
            module = inserted or (layers[layer] if layer is not None else name.rpartition(".")[0])
            found.setdefault(module, Trained(layer, [])).weights.append(weight)
    return found


class GradientNorms:
    """The mean norm of the gradient that each module gets, between the points of a learning curve.

    Args:
        modules: weights by name of their module.
    """

    def __init__(self, modules: Mapping[str, list[nn.Parameter]]) -> None:
        self._modules = modules
        self._sum: Tensor | None = None
        self._steps = 0
        self.means: dict[str, list[float]] = {name: [] for name in modules}
        """By module, a value a point."""

    def add(self) -> None:
        """Take in the gradients that the weights have now."""
        if self._modules:
            norms = torch.stack([_norm(weights) for weights in self._modules.values()])
            self._sum = norms if self._sum is None else self._sum + norms
            self._steps += 1

    def end_point(self) -> None:
        """Close the point: its values are the means of what was added since the one before."""
        if self._sum is not None:
            for name, value in zip(self.means, (self._sum / self._steps).tolist(), strict=True):
                self.means[name].append(value)
            self._sum, self._steps = None, 0


def _norm(weights: list[nn.Parameter]) -> Tensor:
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    # A weight that the loss does not depend on, such as a pooler's, has no gradient.
    return nn.utils.get_total_norm(gradients) if gradients else torch.zeros((), device=weights[0].device)
