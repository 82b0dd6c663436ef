"""Find weights that are vectors: biases, scales of norms, factors. The others are matrices.

The shape is ambiguous: (IA)³'s factors of keys and values are ``[d, 1]`` and those of the feed-forward
``[1, d]``, the shapes of LoRA's matrices of rank 1. As in BERT's training, weight decay is for matrices only:
it would decay a factor to 0 and so disable its activation.
"""

from __future__ import annotations

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from peftir.tuners.registry import METHODS


def vector_names(model: nn.Module) -> set[str]:
    """The names of the weights of ``model`` that are vectors.

    These are all one-dimensional weights, and those that a method lists as ``vectors`` in ``METHODS``.
    """
    found = {name for name, weight in model.named_parameters() if weight.dim() <= 1}
    declared = {kind for method in METHODS.values() for kind in method.vectors}
    for place, layer in model.named_modules():
        if isinstance(layer, BaseTunerLayer):
            for kind in declared.intersection(layer.adapter_layer_names):
                found |= {f"{place}.{kind}.{name}" for name, _ in getattr(layer, kind).named_parameters()}
    return found
