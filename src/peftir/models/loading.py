"""How a backbone is loaded: the format of its frozen weights, its attention, and the ends of its texts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import MODEL_MAPPING, AutoConfig

from peftir.study.params import BackboneParams
from peftir.system.errors import PeftirError
from peftir.tuners.bidirectional import BIDIRECTIONAL
from peftir.tuners.families import FAMILIES

Format = Literal["float32", "bfloat16", "nf4"]

FORMATS = {
    "float32": {torch.float32},
    "bfloat16": {torch.float32, torch.bfloat16},
    "nf4": {torch.float32, torch.uint8},
}
"""The formats of a model's weights, the frozen ones' and the trained ones'."""

BLOCK = 64
"""Weights of one scale in nf4, along the inputs of a layer."""

RIGHT = {"padding_side": "right"}
"""Arguments of tokenizers except those of decoders. With padding on the left, BERT's position ids and its
first token would depend on the other texts of the batch."""


@dataclass(frozen=True)
class Loading:
    """The settings of ``backbone`` in ``params.yaml`` that determine how a backbone is loaded.

    Attributes:
        weights: format of the frozen weights; ``nf4`` (QLoRA, Dettmers et al. 2023, section 3) quantizes the
            linear layers to 4 bits, by bitsandbytes.
        precision: in which the products with 4-bit weights are computed.
        attn_implementation: a name of transformers; ``None`` for ``sdpa`` where the family has it.
        bidirectional: whether a decoder's tokens attend to later tokens, too.
        append_eos: whether the tokenizer appends its end-of-text token to each text.
    """

    weights: Format = "float32"
    precision: Literal["float32", "bfloat16"] = "float32"
    attn_implementation: str | None = None
    bidirectional: bool = False
    append_eos: bool = False

    @classmethod
    def of(cls, backbone: BackboneParams) -> Loading:
        """The settings of a study."""
        return cls(
            backbone.weights,
            backbone.precision,
            backbone.attn_implementation,
            backbone.bidirectional,
            backbone.append_eos,
        )

    def model_arguments(self, folder: Path | str) -> dict[str, Any]:
        """Arguments of ``from_pretrained`` for the backbone in ``folder``.

        The attention is torch's (``sdpa``) where the architecture supports it, even if a faster one is
        installed or the backbone's configuration names another.

        Raises:
            PeftirError: the settings do not fit each other or the backbone, or bitsandbytes is missing.
        """
        config = AutoConfig.from_pretrained(folder)
        arguments: dict[str, Any] = {
            "dtype": "bfloat16" if self.weights == "bfloat16" else "float32",
            "attn_implementation": self._attention(config),
        }
        if self.weights == "nf4":
            arguments["quantization_config"] = self._quantization(config)
        return arguments

    def _attention(self, config: Any) -> str:
        family: Any = MODEL_MAPPING.get(type(config), None)
        has_sdpa = family is None or family._supports_sdpa
        name = self.attn_implementation or ("sdpa" if has_sdpa else "eager")
        if name == "sdpa" and not has_sdpa:
            raise PeftirError(
                f"backbone.attn_implementation: 'sdpa': {config.model_type} does not support it; expected "
                "eager or null"
            )
        if not self.bidirectional:
            return name
        if not is_decoder(config) or getattr(config, "use_bidirectional_attention", False):
            raise PeftirError(
                f"backbone.bidirectional: true: the attention of this {config.model_type} is bidirectional "
                "already, or not of a known decoder; expected false"
            )
        if name not in BIDIRECTIONAL:
            raise PeftirError(
                f"backbone.attn_implementation: {name!r} with backbone.bidirectional: true; expected sdpa, "
                "eager or null"
            )
        return BIDIRECTIONAL[name]

    def _quantization(self, config: Any) -> dict[str, Any]:
        if importlib.util.find_spec("bitsandbytes") is None:
            raise PeftirError(
                "backbone.weights: 'nf4': the package bitsandbytes is not installed; install it (the version "
                "is in pyproject.toml, quantized), or set float32 or bfloat16"
            )
        if config.model_type not in FAMILIES:
            raise PeftirError(
                f"backbone.weights: 'nf4': the family {config.model_type!r} is unknown; expected one of "
                f"{', '.join(sorted(FAMILIES))}, or float32"
            )
        family = FAMILIES[config.model_type]
        return {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": self.precision,
            # The head is computed in float32, and a pooler is a part of it. These are patterns of full names.
            "llm_int8_skip_modules": [
                *family.head,
                *([rf"(.*\.)?{family.pooler}"] if family.pooler else []),
            ],
        }

    def tokenizer_arguments(self, folder: Path | str) -> dict[str, Any]:
        """Arguments for loading the tokenizer: a decoder's pads on its own side, the others on the right."""
        return {} if is_decoder(AutoConfig.from_pretrained(folder)) else {**RIGHT}


def is_decoder(config: Any) -> bool:
    """Whether a backbone is of a known family of decoders, which can be padded on either side."""
    return config.model_type in FAMILIES and FAMILIES[config.model_type].decoder


AS_DEFAULT = Loading()
"""In float32, with the backbone's own attention and tokenizer."""


@contextmanager
def loading_errors(loading: Loading) -> Iterator[None]:
    """Raise transformers' and bitsandbytes' errors about what the machine lacks as one line.

    Raises:
        PeftirError: the attention or the quantization cannot be used here.
    """
    try:
        yield
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if loading.weights == "nf4":
            raise PeftirError(
                f"backbone.weights: 'nf4': cannot be used on this machine ({reason})"
            ) from error
        if loading.attn_implementation:
            name = loading.attn_implementation
            raise PeftirError(
                f"backbone.attn_implementation: {name!r}: cannot be used on this machine ({reason}); "
                "expected null, sdpa or eager"
            ) from error
        raise


def weights_of_backbone(model: nn.Module) -> str:
    """The format of the frozen weights of a transformers ``model``: a key of ``FORMATS``."""
    if getattr(model.config, "quantization_config", None) is not None:
        return "nf4"
    return "bfloat16" if any(p.dtype == torch.bfloat16 for p in model.parameters()) else "float32"


def reads_packed_weights(model: nn.Module) -> str | None:
    """The class of a wrapper of PEFT around a 4-bit layer that is not made for one; ``None`` without any."""
    for module in model.modules():
        wrapped = getattr(module, "base_layer", None) if isinstance(module, BaseTunerLayer) else None
        if type(wrapped).__name__ == "Linear4bit" and "4bit" not in type(module).__name__:
            return type(module).__name__
    return None


def keep_4_bit_weights(model: nn.Module) -> None:
    """Let all processors compute with the 4-bit weights of ``model`` as they were loaded.

    On a processor with AVX-512 BF16, bitsandbytes 0.50 changes a layer in its first forward pass without
    gradients: it rounds the scales to bfloat16, and does not put them back in their order for saving.
    """
    for layer in model.modules():
        if type(layer).__name__ == "Linear4bit":
            layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def refuse_other_formats(model: nn.Module, name: str, weights: str) -> None:
    """Raise an error unless all weights of ``model`` have one of the formats of ``weights``.

    Raises:
        PeftirError: names the first other weight, or a layer that bitsandbytes cannot compute; ``name`` is
            what was loaded.
    """
    for layer_name, layer in model.named_modules():
        if type(layer).__name__ == "Linear4bit" and layer.in_features % BLOCK:
            raise PeftirError(
                f"{name}: {layer_name} has {layer.in_features} inputs, but 4-bit weights come in blocks of "
                f"{BLOCK}; expected backbone.weights float32 or bfloat16"
            )
    for weight_name, weight in model.named_parameters():
        if weight.dtype not in FORMATS[weights]:
            raise PeftirError(
                f"{name}: weight {weight_name} is {str(weight.dtype).removeprefix('torch.')}, expected "
                f"{weights}; name a backbone that is not quantized, and set its format as backbone.weights"
            )
