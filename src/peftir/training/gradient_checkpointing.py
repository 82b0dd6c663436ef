"""Gradient checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"), layer by layer.

The forward pass keeps only the input of each encoder layer. The backward pass computes the layer again, with
the modules inserted in it, such as adapters and prefixes, and with the same dropout masks. Gradients are
bit-identical.

The checkpointing of transformers does not fit. It is off in evaluation mode, in which models without dropout
are trained here; it does not support MPNet; and it computes gradients of frozen embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from peftir.models.precision import running
from peftir.tuners.places import Backbone


@contextmanager
def recomputing_layers(model: nn.Module) -> Iterator[None]:
    """A context in which forward and backward passes checkpoint each encoder layer.

    Args:
        model: contains transformers encoders, of families that :mod:`peftir.tuners` supports.
    """
    with ExitStack() as layers:
        for backbone in Backbone.all_in(model):
            for name in backbone.layers:
                layers.enter_context(running(backbone.model.get_submodule(name), _checkpointed))
        yield


def _checkpointed(layer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # A decoder layer appends its keys and values to the cache; the second computation would append again.
    cache = {"past_key_values": None} if "past_key_values" in kwargs else {}
    return checkpoint(layer, *args, use_reentrant=False, **kwargs | cache)
