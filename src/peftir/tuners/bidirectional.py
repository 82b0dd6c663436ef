"""Bidirectional attention for decoders (BehnamGhader et al. 2024, "LLM2Vec", section 2): no causal mask.

The two attention implementations registered here are torch's and transformers' own, ``sdpa`` and ``eager``,
with a symmetric mask: a token sees what sees it. So a sliding window reaches to both sides. A saved model
names its implementation, so that it loads with bidirectional attention or, without this package, not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

BIDIRECTIONAL = {name: f"peftir_bidirectional_{name}" for name in ("sdpa", "eager")}
"""The names in transformers' attention interface, by the implementation that computes the attention."""

_PLAIN = {bidirectional: name for name, bidirectional in BIDIRECTIONAL.items()}


def plain_attention(module: Any, implementation: str) -> Callable[..., Any] | None:
    """The function of ``sdpa`` or ``eager``, bidirectional or not, for ``module``; ``None`` for others."""
    name = _PLAIN.get(implementation, implementation)
    if name == "eager":
        function: Callable[..., Any] = sys.modules[type(module).__module__].eager_attention_forward
        return function
    return ALL_ATTENTION_FUNCTIONS["sdpa"] if name == "sdpa" else None


def is_causal(module: Any, implementation: str) -> bool:
    """Whether the attention ``module`` masks later tokens."""
    return module.is_causal and implementation not in _PLAIN


def _attend(module: Any, *args: Any, **kwargs: Any) -> Any:
    function = plain_attention(module, module.config._attn_implementation)
    assert function is not None
    return function(module, *args, **kwargs | {"is_causal": False})


def _symmetric(mask_function: Callable[..., Any]) -> Callable[..., Any]:
    def either(batch: Any, head: Any, query: Any, key: Any) -> torch.Tensor:
        return mask_function(batch, head, query, key) | mask_function(batch, head, key, query)

    return either


def _mask(name: str) -> Callable[..., Any]:
    def mask(*, mask_function: Callable[..., Any], **kwargs: Any) -> Any:
        # Neither mask may be left out: without one, torch's kernel would take the attention for causal.
        kwargs |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        return ALL_MASK_ATTENTION_FUNCTIONS[name](mask_function=_symmetric(mask_function), **kwargs)

    return mask


for _name, _bidirectional in BIDIRECTIONAL.items():
    ALL_ATTENTION_FUNCTIONS.register(_bidirectional, _attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_bidirectional, _mask(_name))
