"""Prefix-tuning (Li & Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation", section 4).

``length`` trained keys and values are prepended to those of every attention layer and visible to every query.
They are trained directly, without the reparametrization of section 4.3, as in the parameter counts of Ma et
al. (2022). Number of parameters: 2·L·l·d, with keys and values of d dimensions.

Positions are not shifted, so the maximum number of tokens of a text is the same as without a prefix. With
rotary position embeddings, the prefix's keys are not rotated, as at position 0, and a text's positions start
at its first token, even after left padding. The prefix is inserted by a function of transformers' attention
interface; encoders that do not use this interface are not supported.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from peftir.tuners.bidirectional import is_causal, plain_attention
from peftir.tuners.config import InsertConfig
from peftir.tuners.errors import TunerError
from peftir.tuners.inserts import PREFIX, Insert, Insertion
from peftir.tuners.knobs import LENGTH
from peftir.tuners.methods import Method
from peftir.tuners.places import Backbone
from peftir.tuners.tuner import InsertTuner, parameter_counter, register

INTERFACE = "peftir_prefix"
"""The name in transformers' attention interface, set in the config of attention modules with a prefix."""

SCALE = 0.02
"""Standard deviation of the initial prefix, as of BERT's initial weights."""


@dataclass
class PrefixConfig(InsertConfig):
    """Configuration of prefix-tuning.

    Args:
        length: number l of keys and values before each attention layer's own.
    """

    tuner_type: ClassVar[str] = "PEFTIR_PREFIX"
    knobs: ClassVar = {"length": LENGTH}

    length: int = 32


class Prefix(Insert):
    """Keys and values of one attention layer, each ``(length, width)``."""

    slot = "prefix"
    mixes = False  # the prefixes of two adapters may differ in length
    adapter_layer_names = (f"{PREFIX}key", f"{PREFIX}value")

    def __init__(self) -> None:
        super().__init__()
        self.tuned_key = nn.ParameterDict()
        self.tuned_value = nn.ParameterDict()
        self.config: Any = None
        self._encoders: list[Any] = []  # in a list, or it would be a submodule

    def create(self, name: str, *, length: int, width: int) -> None:
        """Create the prefix of the PEFT adapter ``name``, from torch's global seed."""
        self.tuned_key[name] = nn.Parameter(SCALE * torch.randn(length, width))
        self.tuned_value[name] = nn.Parameter(SCALE * torch.randn(length, width))

    @staticmethod
    def count_parameters(*, length: int, width: int) -> int:
        """The number of parameters of one layer's prefix."""
        return 2 * length * width

    def attach(self, place: nn.Module, entry: nn.Module) -> None:
        """Insert this module into the attention module ``place``, which then calls ``INTERFACE``.

        An ``entry`` other than ``place`` is the encoder, whose position ids are computed from the mask.
        """
        place.add_module(self.slot, self)
        # The model's own configuration determines the attention implementation.
        self.config = place.config
        changed: Any = copy.copy(place.config)
        changed._attn_implementation_internal = INTERFACE
        place.config = changed
        if entry is not place:
            self._encoders.append(entry)
            count_positions(entry)

    def detach(self, place: nn.Module) -> None:
        """Undo ``attach``."""
        place.config = self.config
        super().detach(place)
        for encoder in self._encoders:
            if not any(isinstance(part, Prefix) for part in encoder.modules()):
                del encoder.forward

    def before(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Prepend the prefixes to keys and values, ``(batch, heads, length, head size)``."""
        batch, heads, _, size = key.shape

        def shaped(prefix: nn.Parameter) -> torch.Tensor:
            return prefix.view(-1, heads, size).transpose(0, 1).expand(batch, -1, -1, -1).to(key.dtype)

        for name in self.running:
            key = torch.cat([shaped(self.tuned_key[name]), key], dim=2)
            value = torch.cat([shaped(self.tuned_value[name]), value], dim=2)
        return key, value


def count_positions(encoder: Any) -> None:
    """Let ``encoder`` compute its position ids from the mask while a prefix is running, in place.

    A forward hook would not do, because sentence-transformers calls ``forward`` itself.
    """
    if "forward" in vars(encoder):
        return
    plain = type(encoder).forward

    @functools.wraps(plain)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if any(part.running for part in self.modules() if isinstance(part, Prefix)):
            kwargs |= _positions(args, kwargs)
        return plain(self, *args, **kwargs)

    # A bound method, so that a copy of the encoder has its own.
    encoder.forward = types.MethodType(forward, encoder)


def _positions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The position ids without padding, for an encoder that was called without any."""
    mask = kwargs.get("attention_mask")
    if kwargs.get("position_ids") is not None or mask is None or mask.dim() != 2:
        return {}
    tokens = args[0] if args else kwargs.get("input_ids")
    length = (kwargs["inputs_embeds"] if tokens is None else tokens).shape[1]
    positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
    # With a cache the mask includes the previous tokens.
    return {"position_ids": positions[:, -length:]}


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attention of a module with a prefix (a function of transformers' attention interface).

    Raises:
        TunerError: the attention implementation is neither ``sdpa`` nor ``eager``.
    """
    implementation = module.prefix.config._attn_implementation
    plain = plain_attention(module, implementation)
    if plain is None:
        raise TunerError(
            f"attn_implementation: got {implementation!r}, but a prefix needs one that takes any mask, "
            "expected 'sdpa' or 'eager': load the model with attn_implementation='sdpa'"
        )
    if not module.prefix.running:
        return plain(module, query, key, value, attention_mask, **kwargs)
    own = key.shape[2]
    if attention_mask is None and query.shape[2] > 1 and is_causal(module, implementation):
        # The causal mask that sdpa would use, which fits only square matrices.
        attention_mask = torch.ones(query.shape[2], own, dtype=torch.bool, device=query.device).tril(
            own - query.shape[2]
        )[None, None]
    key, value = module.prefix.before(key, value)
    if attention_mask is not None:
        shape = (*attention_mask.shape[:-1], key.shape[2] - own)
        seen = attention_mask.new_ones(shape) if attention_mask.dtype == torch.bool else None
        visible = attention_mask.new_zeros(shape) if seen is None else seen
        attention_mask = torch.cat([visible, attention_mask], dim=-1)
    return plain(module, query, key, value, attention_mask, **kwargs)


ALL_ATTENTION_FUNCTIONS.register(INTERFACE, attend)


class PrefixTuner(InsertTuner):
    """Tuner that inserts a prefix in each attention layer."""

    @staticmethod
    def plan(config: Any, backbone: Backbone) -> Iterator[Insertion]:
        """Yield a prefix for each attention module.

        Raises:
            TunerError: the family's attention does not support a prefix.
        """
        sizes = {"length": config.length, "width": backbone.key_width}
        entry = backbone.encoder if backbone.family.rotary else None
        for place in backbone.attentions:
            yield Insertion(place, Prefix, sizes, entry)


register(PrefixConfig, PrefixTuner)


def configure(backbone: Backbone, length: int) -> PrefixConfig:
    """Return the configuration for ``backbone``."""
    return PrefixConfig(length=length)


METHOD = Method(
    name="prefix",
    summary="trained keys and values before every attention layer's own",
    reference="Li & Liang 2021, section 4",
    knobs={"length": LENGTH},
    size="length",
    configure=configure,
    count_parameters=parameter_counter(PrefixTuner, configure),
)
