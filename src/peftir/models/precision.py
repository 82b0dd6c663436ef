"""What number format the encoder computes in; all weights and all that follows the encoder are in float32."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftir.tuners.places import Backbone


@contextmanager
def computing_in(model: nn.Module, precision: str) -> Iterator[None]:
    """A context in which the matrix products of ``model``'s encoder run in ``precision``.

    The encoder is that of transformers inside ``model``, with what is inserted. Its hidden states come out as
    float32, and what is made of them there or outside of ``model`` stays in it: pooling, similarities, a
    re-ranker's head (BERT's pooler with it), scores and loss. bfloat16 has 8 significant bits, so that a
    similarity of .8 would be rounded to the next .004, before a temperature of .05 divides it.

    Args:
        precision: ``bfloat16`` or ``float32``.
    """
    if precision == "float32":
        yield
        return
    backbone = Backbone.of(next(part for part in model.modules() if isinstance(part, PreTrainedModel)))
    encoder, kind = backbone.model.base_model, device().type

    def rounded(plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(kind, dtype=torch.bfloat16):
            return _widened(plain(*args, **kwargs))

    def exact(plain: Callable[..., Any], states: Tensor) -> Tensor:
        with torch.autocast(kind, enabled=False):
            return plain(states.float())

    # The outer context keeps the rounded copies of the weights from one call of the encoder to the next.
    with torch.autocast(kind, enabled=False), running(encoder, rounded):
        if backbone.pooler is None:
            yield
        else:
            with running(backbone.pooler, exact):
                yield


def not_rounded(values: torch.Tensor) -> torch.Tensor:
    """``values`` in float32, or in float64 if they are: whatever follows is not computed in bfloat16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def processor() -> str:
    """What computes, by name: last digits follow from it and the number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    kind = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {kind}, {torch.get_num_threads()} threads"


def device() -> torch.device:
    """The GPU if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def running(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """A context in which ``module`` runs ``forward(plain, …)``, where ``plain`` is its own forward."""
    plain = module.forward
    module.forward = lambda *args, **kwargs: forward(plain, *args, **kwargs)
    try:
        yield
    finally:
        del module.forward


def _widened(output: Any) -> Any:
    """An encoder's ``output`` with its tensors of hidden states in float32."""
    for key, value in output.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            output[key] = value.float()
    return output
