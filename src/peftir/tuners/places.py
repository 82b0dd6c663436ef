"""The modules of a model at which methods insert, by full name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from peftir.tuners.errors import TunerError
from peftir.tuners.families import FAMILIES, Family, Span

WRAPPED = "base_layer"
"""The name that PEFT's own tuners give to a wrapped module."""


def family_of(model_type: str) -> Family:
    """The family of a model by the ``model_type`` of its configuration.

    Raises:
        TunerError: it is not in ``FAMILIES``.
    """
    if model_type not in FAMILIES:
        raise TunerError(
            f"model: family {model_type!r} is unknown, expected one of {', '.join(sorted(FAMILIES))}; "
            "add its places to FAMILIES in peftir/tuners/families.py (docs/adding-a-method.md)"
        )
    return FAMILIES[model_type]


@dataclass(frozen=True)
class Backbone:
    """A model with its family, and the full names of the modules at which methods insert."""

    model: PreTrainedModel
    family: Family

    @classmethod
    def of(cls, model: nn.Module) -> Backbone:
        """Look up the family of ``model``.

        Raises:
            TunerError: the model is no transformers model, its family is not in ``FAMILIES``, or it has a
                decoder besides the encoder.
        """
        if not isinstance(model, PreTrainedModel):
            raise TunerError(
                f"model: got {type(model).__name__}, expected a transformers PreTrainedModel "
                "(of a SentenceTransformer or a CrossEncoder take [0].model)"
            )
        model_type = model.config.model_type
        family = family_of(model_type)
        if model.config.is_encoder_decoder:
            raise TunerError(
                f"model: got {type(model).__name__}, which has a decoder besides the encoder; expected the "
                f"encoder alone, as a SentenceTransformer loads it: {model_type} is for retrievers only"
            )
        return cls(model, family)

    @classmethod
    def all_in(cls, model: nn.Module) -> list[Backbone]:
        """The transformers models inside ``model``, such as a bi-encoder's sides, without parts of these."""
        found: list[Backbone] = []
        inside: set[nn.Module] = set()
        for part in model.modules():
            if isinstance(part, PreTrainedModel) and part not in inside:
                found.append(cls.of(part))
                inside.update(part.modules())
        return found

    @property
    def hidden(self) -> int:
        """The size d of the hidden states."""
        return self.model.config.hidden_size

    @property
    def key_width(self) -> int:
        """The size of an attention layer's keys, and of its values, over all heads."""
        config = self.model.config
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        return size * (getattr(config, "num_key_value_heads", None) or heads)

    @property
    def encoder(self) -> str:
        """The name of the bare encoder; empty if that is the model itself."""
        return "" if self._bare else self.model.base_model_prefix

    @property
    def layers(self) -> list[str]:
        """The names of the layers, first to last."""
        name = self._inside(self.family.layers)
        return [
            f"{name}.{index}" for index in range(len(cast(nn.ModuleList, self.model.get_submodule(name))))
        ]

    @property
    def sublayer_outputs(self) -> Iterator[str]:
        """The names of the modules whose output is a sub-layer's output before Add."""
        for layer in self.layers:
            yield f"{layer}.{self.family.attention_output}"
            yield f"{layer}.{self.family.feed_forward[1]}"

    @property
    def feed_forwards(self) -> Iterator[Span]:
        """The spans of the feed-forwards."""
        for layer in self.layers:
            yield _span(layer, self.family.feed_forward)

    @property
    def sublayers(self) -> Iterator[Span]:
        """The spans of the sub-layers, including Add & Norm."""
        for layer in self.layers:
            yield _span(layer, self.family.attention_sublayer)
            yield _span(layer, self.family.feed_forward_sublayer)

    @property
    def attentions(self) -> Iterator[str]:
        """The names of the attention modules.

        Raises:
            TunerError: the family's attention does not support a prefix.
        """
        if self.family.no_prefix:
            raise TunerError(
                f"type: got a method with a prefix, but in {self.model.config.model_type} "
                f"{self.family.no_prefix}; use a method without, such as iaa_l"
            )
        for layer in self.layers:
            yield f"{layer}.{self.family.attention}"

    @property
    def low_rank(self) -> Iterator[str]:
        """The names of the projections that LoRA updates."""
        for layer in self.layers:
            for name in self.family.low_rank:
                yield f"{layer}.{name}"

    @property
    def linear(self) -> dict[str, nn.Linear]:
        """The encoder's linear layers by name, the same in both stages: without the pooler's."""
        pooler = f"{self.encoder}.{self.family.pooler}.".removeprefix(".")
        return {
            name: part
            for name, part in self.parts
            if isinstance(part, nn.Linear) and not (self.pooler and name.startswith(pooler))
        }

    @property
    def linear_names(self) -> list[str]:
        """The names of the linear layers, those inside the layers as they are in each."""
        inside = re.compile(rf"{re.escape(self._inside(self.family.layers))}\.\d+\.")
        return list(dict.fromkeys(inside.sub("", name) for name in self.linear))

    @property
    def unused(self) -> list[str] | None:
        """The pooler where the model does not use it, as a bi-encoder; None elsewhere."""
        return [str(self.family.pooler)] if self._bare and self.pooler is not None else None

    @property
    def scaled(self) -> tuple[list[str], list[str]]:
        """The names of the projections whose outputs, and of those whose inputs, (IA)³ scales.

        Raises:
            TunerError: the projections of keys and values are fused with the queries'.
        """
        if not self.family.keys_and_values:
            raise TunerError(
                f"type: got 'ia3', but in {self.model.config.model_type} keys and values come from "
                "one module with the queries; use another method"
            )
        keys_and_values = [f"{layer}.{name}" for layer in self.layers for name in self.family.keys_and_values]
        return keys_and_values, [f"{layer}.{self.family.inner}" for layer in self.layers]

    @property
    def head(self) -> list[str]:
        """The modules of a cross-encoder's head, trained and saved with every tuner; none in a bi-encoder.

        They include a randomly initialized pooler, one that is not in the backbone's checkpoint.
        """
        if self._bare:
            return []
        names = [name for name in self.family.head if hasattr(self.model, name)]
        if self.pooler is not None and _new(self.pooler):
            names.append(str(self.family.pooler))
        return names

    @property
    def pooler(self) -> nn.Module | None:
        """The encoder's module that only the head uses, if it has one."""
        return getattr(self.model.base_model, self.family.pooler, None) if self.family.pooler else None

    @property
    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the encoder's own modules that the model uses, by name, without head and inserted modules."""
        excluded = {self.model.get_submodule(name) for name in self.head if hasattr(self.model, name)}
        if self.pooler is not None and (self._bare or self.family.pooler in self.head):
            excluded.add(self.pooler)
        for layer in self.model.modules():
            if isinstance(layer, BaseTunerLayer):
                excluded |= {getattr(layer, kind) for kind in layer.adapter_layer_names}
        skipped = {part for module in excluded for part in module.modules()}
        for name, module in self.model.named_modules():
            if isinstance(module, BaseTunerLayer) and hasattr(module, "base_layer"):
                # A wrapper of PEFT, under the name of the encoder's module that it wraps.
                yield name, module.get_base_layer()
            elif module not in skipped and WRAPPED not in name.split("."):
                yield name, module

    @property
    def _bare(self) -> bool:
        return self.model.base_model is self.model

    def _inside(self, name: str) -> str:
        """The full name in the model of a module named relative to its bare encoder."""
        return name if self._bare else f"{self.encoder}.{name}"


def _new(module: nn.Module) -> bool:
    """Whether a module's weights are randomly initialized rather than loaded from a checkpoint.

    transformers marks the weights that it loads, and initializes the biases of the others to zero.
    """
    if isinstance(module, ModulesToSaveWrapper):
        return True  # was new when the tuner was attached
    if any(getattr(parameter, "_is_hf_initialized", False) for parameter in module.parameters()):
        return False
    biases = [p for name, p in module.named_parameters() if name.endswith("bias")]
    return not any(bias.is_meta or bias.count_nonzero() for bias in biases)


def _span(layer: str, span: Span) -> Span:
    return f"{layer}.{span[0]}", f"{layer}.{span[1]}"
