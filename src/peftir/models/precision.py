"""Mixed precision: the encoder runs in bfloat16 or float32; trained weights and other steps are in float32.

The frozen weights have a format of their own (:mod:`peftir.models.loading`).
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftir.models.loading import weights_of_backbone
from peftir.tuners.places import Backbone


@contextmanager
def computing_in(model: nn.Module, precision: str) -> Iterator[None]:
    """A context in which the matrix products of ``model``'s encoder run in ``precision``.

    The encoder is each transformers model inside ``model``, with the inserted modules. It returns its hidden
    states in float32, and later steps are computed in float32: pooling, similarities, a re-ranker's head
    (including BERT's pooler), scores and loss. bfloat16 has 8 significant bits: a similarity near 0.8 would
    be rounded to a multiple of 0.004, and then divided by a temperature such as 0.05.

    Args:
        precision: ``bfloat16`` or ``float32``.
    """
    formats = {weights_of_backbone(part) for part in model.modules() if isinstance(part, PreTrainedModel)}
    if precision == "float32" and "bfloat16" not in formats:
        yield
        return
    kind = device().type

    def in_bfloat16(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            return _to_float32(forward(*args, **kwargs))

    def in_float32(weights: torch.dtype, forward: Callable[..., Any], states: Tensor) -> Tensor:
        with torch.autocast(kind, enabled=False):
            return forward(states.to(weights))

    # The outer context keeps autocast's cache of bfloat16 weights between calls of the encoder.
    with torch.autocast(kind, enabled=False), ExitStack() as modules:
        for backbone in Backbone.all_in(model):
            modules.enter_context(running(backbone.model.base_model, in_bfloat16))
            if backbone.pooler is not None:
                weights = next(backbone.pooler.parameters()).dtype
                modules.enter_context(running(backbone.pooler, partial(in_float32, weights)))
        yield


def format_of_products(transformer: nn.Module, precision: str) -> str:
    """The format of the products in :func:`computing_in`: bfloat16 weights stay so in any ``precision``."""
    return "bfloat16" if weights_of_backbone(transformer) == "bfloat16" else precision


def head_in_float32(transformer: PreTrainedModel) -> None:
    """Convert a re-ranker's head to float32, with the pooler, if the frozen weights are bfloat16."""
    if weights_of_backbone(transformer) == "bfloat16":
        backbone = Backbone.of(transformer)
        for name in backbone.head:
            if hasattr(transformer, name):
                transformer.get_submodule(name).float()
        if backbone.head and backbone.pooler is not None:
            backbone.pooler.float()


def not_rounded(values: torch.Tensor) -> torch.Tensor:
    """Convert ``values`` of lower precision to float32, so that later steps are not computed in bfloat16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def processor() -> str:
    """The name of the GPU, or the CPU's type and number of threads, on which the last digits depend."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {instructions}, {torch.get_num_threads()} threads"


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def running(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """A context in which ``module`` runs ``forward(original, …)``, with its own forward as ``original``."""
    original, own = module.forward, vars(module).get("forward")
    module.forward = lambda *args, **kwargs: forward(original, *args, **kwargs)
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _to_float32(output: Any) -> Any:
    """Convert the hidden states in an encoder's ``output`` to float32."""
    for key, value in output.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            output[key] = value.float()
    return output
