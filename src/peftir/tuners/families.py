"""Where in each family of encoders the methods' places are: the one table to extend for another family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from peftir.tuners.errors import TunerError

Span = tuple[str, str]
"""Two modules: what goes into the first is the input, what comes out of the second the output."""


@dataclass(frozen=True)
class Family:
    """The places of one family, as module names; those inside a layer are relative to the layer.

    Attributes:
        layers: the list of layers, relative to the bare encoder (``AutoModel``).
        attention: the module that has the keys and values, and asks transformers' attention interface.
        attention_output: the module whose output, the attention's, goes into the first Add.
        feed_forward: the feed-forward, up to the module whose output goes into the second Add.
        attention_sublayer: the first sub-layer, Add and Norm included. Where the Norm comes first, the Add
            comes last, and to be added before it or after it is the same.
        feed_forward_sublayer: the second sub-layer likewise.
        low_rank: the projections that LoRA updates: query and value.
        keys_and_values: the projections whose outputs (IA)³ scales; none where they are one with the query's.
        inner: the projection whose input, the feed-forward's inner activations, (IA)³ scales.
        head: the modules that ``AutoModelForSequenceClassification`` adds to the bare encoder.
        pooler: a module that the head needs and a bi-encoder leaves unused, relative to the bare encoder.
        no_prefix: why the family's attention does not admit a prefix; empty where it does.
    """

    layers: str
    attention: str
    attention_output: str
    feed_forward: Span
    attention_sublayer: Span
    feed_forward_sublayer: Span
    low_rank: tuple[str, ...]
    keys_and_values: tuple[str, ...]
    inner: str
    head: tuple[str, ...] = ("classifier",)
    pooler: str | None = None
    no_prefix: str = ""


BERT = Family(
    layers="encoder.layer",
    attention="attention.self",
    # The dropouts, not the projections before them: Houlsby et al. put the adapter after the dropout.
    attention_output="attention.output.dropout",
    feed_forward=("intermediate", "output.dropout"),
    attention_sublayer=("attention", "attention"),
    feed_forward_sublayer=("intermediate", "output"),
    low_rank=("attention.self.query", "attention.self.value"),
    keys_and_values=("attention.self.key", "attention.self.value"),
    inner="output.dense",
    pooler="pooler",
)

LLAMA = Family(
    layers="layers",
    attention="self_attn",
    attention_output="self_attn.o_proj",
    feed_forward=("mlp", "mlp"),
    attention_sublayer=("input_layernorm", "self_attn.o_proj"),
    feed_forward_sublayer=("post_attention_layernorm", "mlp"),
    low_rank=("self_attn.q_proj", "self_attn.v_proj"),
    keys_and_values=("self_attn.k_proj", "self_attn.v_proj"),
    inner="mlp.down_proj",
    head=("score",),
)

FAMILIES: dict[str, Family] = {
    "bert": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
    "electra": BERT,
    "distilbert": Family(
        layers="transformer.layer",
        attention="attention",
        attention_output="attention.out_lin",
        feed_forward=("ffn", "ffn"),
        attention_sublayer=("attention", "sa_layer_norm"),
        feed_forward_sublayer=("ffn", "output_layer_norm"),
        low_rank=("attention.q_lin", "attention.v_lin"),
        keys_and_values=("attention.k_lin", "attention.v_lin"),
        inner="ffn.lin2",
        head=("pre_classifier", "classifier"),
    ),
    "mpnet": replace(
        BERT,
        attention="attention.attn",
        attention_output="attention.dropout",
        low_rank=("attention.attn.q", "attention.attn.v"),
        keys_and_values=("attention.attn.k", "attention.attn.v"),
        no_prefix="every score has a bias for the distance between two tokens, and a prefix stands at none",
    ),
    # Also DeBERTa-v3, which has the same architecture and model type.
    "deberta-v2": replace(
        BERT,
        low_rank=("attention.self.query_proj", "attention.self.value_proj"),
        keys_and_values=("attention.self.key_proj", "attention.self.value_proj"),
        head=("pooler", "classifier"),
        pooler=None,
        no_prefix="every score has parts for the distance between two tokens, and a prefix stands at none",
    ),
    "modernbert": Family(
        layers="layers",
        attention="attn",
        attention_output="attn.out_drop",
        feed_forward=("mlp", "mlp"),
        attention_sublayer=("attn_norm", "attn.out_drop"),
        feed_forward_sublayer=("mlp_norm", "mlp"),
        # One module for query, key and value: the update is of all three, at the same 4·r·d weights a layer.
        low_rank=("attn.Wqkv",),
        keys_and_values=(),
        inner="mlp.Wo",
        head=("head", "classifier"),
    ),
    "llama": LLAMA,
    "qwen3": LLAMA,
}
"""Family by ``config.model_type``. MiniLM models are ``bert``."""


@dataclass(frozen=True)
class Backbone:
    """A model at hand with its family: answers where the methods' places are, by full module name."""

    model: PreTrainedModel
    family: Family

    @classmethod
    def of(cls, model: nn.Module) -> Backbone:
        """Look up the family of ``model``.

        Raises:
            TunerError: the model is not transformers', or its family is not in the table.
        """
        if not isinstance(model, PreTrainedModel):
            raise TunerError(
                f"model: got {type(model).__name__}, expected a transformers PreTrainedModel "
                "(of a SentenceTransformer or a CrossEncoder take [0].model)"
            )
        model_type = model.config.model_type
        if model_type not in FAMILIES:
            raise TunerError(
                f"model: family {model_type!r} is unknown, expected one of {', '.join(sorted(FAMILIES))}; "
                "add its places to FAMILIES in peftir/tuners/families.py (docs/adding-a-method.md)"
            )
        return cls(model, FAMILIES[model_type])

    @property
    def hidden(self) -> int:
        """The size d of the hidden states."""
        return self.model.config.hidden_size

    @property
    def key_width(self) -> int:
        """The size of an attention layer's keys, and of its values, all heads together."""
        config = self.model.config
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        return size * (getattr(config, "num_key_value_heads", None) or heads)

    @property
    def layers(self) -> list[str]:
        """The names of the layers, first to last."""
        name = self._inside(self.family.layers)
        return [
            f"{name}.{index}" for index in range(len(cast(nn.ModuleList, self.model.get_submodule(name))))
        ]

    @property
    def sublayer_outputs(self) -> Iterator[str]:
        """The names of the modules that a sub-layer's output comes from, before its Add."""
        for layer in self.layers:
            yield f"{layer}.{self.family.attention_output}"
            yield f"{layer}.{self.family.feed_forward[1]}"

    @property
    def feed_forwards(self) -> Iterator[Span]:
        """The feed-forwards."""
        for layer in self.layers:
            yield _span(layer, self.family.feed_forward)

    @property
    def sublayers(self) -> Iterator[Span]:
        """The sub-layers, Add & Norm included."""
        for layer in self.layers:
            yield _span(layer, self.family.attention_sublayer)
            yield _span(layer, self.family.feed_forward_sublayer)

    @property
    def attentions(self) -> Iterator[str]:
        """The names of the attention modules.

        Raises:
            TunerError: the family's attention does not admit a prefix.
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
    def scaled(self) -> tuple[list[str], list[str]]:
        """The names of the projections whose outputs, and of those whose inputs, (IA)³ scales.

        Raises:
            TunerError: keys and values have no projections of their own.
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

        A pooler that no checkpoint had belongs to it: it is as random as the head, and lost if not saved.
        """
        if self._bare:
            return []
        names = [name for name in self.family.head if hasattr(self.model, name)]
        if self._pooler is not None and _new(self._pooler):
            names.append(str(self.family.pooler))
        return names

    @property
    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """The encoder's own modules that take part in what the model computes, by name; no head, no tuner."""
        without = {self.model.get_submodule(name) for name in self.head if hasattr(self.model, name)}
        if self._pooler is not None and (self._bare or self.family.pooler in self.head):
            without.add(self._pooler)
        for layer in self.model.modules():
            if isinstance(layer, BaseTunerLayer):
                without |= {getattr(layer, kind) for kind in layer.adapter_layer_names}
        skipped = {part for module in without for part in module.modules()}
        for name, module in self.model.named_modules():
            if module not in skipped:
                yield name, module

    @property
    def _bare(self) -> bool:
        return self.model.base_model is self.model

    @property
    def _pooler(self) -> nn.Module | None:
        return getattr(self.model.base_model, self.family.pooler, None) if self.family.pooler else None

    def _inside(self, name: str) -> str:
        """The name, seen from the model, of a module named from its bare encoder."""
        return name if self._bare else f"{self.model.base_model_prefix}.{name}"


def _new(module: nn.Module) -> bool:
    """Whether a module's weights came from no checkpoint, so that nobody has them but this model.

    transformers marks those that it loads, and starts the biases of the others at zero.
    """
    if isinstance(module, ModulesToSaveWrapper):
        return True  # found to be new when the tuner was attached
    if any(getattr(parameter, "_is_hf_initialized", False) for parameter in module.parameters()):
        return False
    biases = [p for name, p in module.named_parameters() if name.endswith("bias")]
    return not any(bias.is_meta or bias.count_nonzero() for bias in biases)


def _span(layer: str, span: Span) -> Span:
    return f"{layer}.{span[0]}", f"{layer}.{span[1]}"
