"""Gradient checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"), layer by layer.

Of each layer of the encoder only the input is kept for the backward pass, which computes the layer again.
A layer's modules inside, such as adapters and prefixes, are computed again with it, with the same dropout
masks. Gradients are equal to the bit.

The checkpointing of transformers does not fit: it is off in a model without dropout, which is in evaluation
mode here; it does not know MPNet; and it has the gradient computed down to frozen embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from peftir.models.precision import running
from peftir.tuners.places import Backbone


@contextmanager
def recomputing_layers(model: nn.Module) -> Iterator[None]:
    """A context for forward and backward passes in which each layer of the encoder is checkpointed.

    Args:
        model: has one encoder of transformers in it, of a family that :mod:`peftir.tuners` knows.
    """
    backbone = Backbone.of(next(part for part in model.modules() if isinstance(part, PreTrainedModel)))
    with ExitStack() as layers:
        for name in backbone.layers:
            layers.enter_context(running(backbone.model.get_submodule(name), _checkpointed))
        yield


def _checkpointed(layer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # A decoder's layer appends to this cache of keys and values; computed twice, it would append them twice.
    cache = {"past_key_values": None} if "past_key_values" in kwargs else {}
    return checkpoint(layer, *args, use_reentrant=False, **kwargs | cache)
