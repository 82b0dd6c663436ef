"""Which weights are vectors (biases, a norm's scale, factors); the others are matrices, with a filter a row.

The shape does not tell: (IA)³'s factors of keys and values are ``[d, 1]`` and those of the feed-forward
``[1, d]``, while LoRA of rank 1 has matrices of these shapes. Weight decay is for matrices alone, as in
BERT's training: it draws weights towards 0, where a factor would switch off what it multiplies.
"""

from __future__ import annotations

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from peftir.tuners.registry import METHODS


def vector_names(model: nn.Module) -> set[str]:
    """The names of the weights of ``model`` that are vectors.

    Of the backbone, a head and most methods these are the weights of one dimension; what else a method's
    vectors are, its entry in ``METHODS`` says.
    """
    found = {name for name, weight in model.named_parameters() if weight.dim() <= 1}
    declared = {kind for method in METHODS.values() for kind in method.vectors}
    for place, layer in model.named_modules():
        if isinstance(layer, BaseTunerLayer):
            for kind in declared.intersection(layer.adapter_layer_names):
                found |= {f"{place}.{kind}.{name}" for name, _ in getattr(layer, kind).named_parameters()}
    return found
