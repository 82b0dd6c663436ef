"""The module names of each encoder family at which methods insert; extend this table to add a family."""

from __future__ import annotations

from dataclasses import dataclass, replace

Span = tuple[str, str]
"""The first and the last module of a span; its input is that of the first, its output that of the last."""


@dataclass(frozen=True)
class Family:
    """The module names of one family; names inside a layer are relative to the layer.

    Attributes:
        layers: the list of layers, relative to the bare encoder (``AutoModel``).
        attention: the module that computes keys and values and calls transformers' attention interface.
        attention_output: the module whose output goes into the first Add.
        feed_forward: the feed-forward, up to the module whose output goes into the second Add.
        attention_sublayer: the first sub-layer, including Add and Norm. With pre-norm the Add is last, so
            that adding before or after it is equivalent.
        feed_forward_sublayer: the second sub-layer, likewise.
        low_rank: the projections that LoRA updates: query and value.
        keys_and_values: the projections whose outputs (IA)³ scales; empty if fused with the query's.
        inner: the projection whose input, the feed-forward's inner activations, (IA)³ scales.
        head: the modules that ``AutoModelForSequenceClassification`` adds to the bare encoder.
        pooler: a module that only the head uses, relative to the bare encoder.
        rotary: whether the family has rotary position embeddings.
        decoder: whether its attention is causal by default and its head reads the last token.
        no_prefix: the reason why the family's attention does not support a prefix; empty if it does.
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
    rotary: bool = False
    decoder: bool = False
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
    rotary=True,
    decoder=True,
)

# As in Llama, but each sub-layer's output is normalised before Add.
GEMMA = replace(
    LLAMA,
    attention_output="post_attention_layernorm",
    feed_forward=("mlp", "post_feedforward_layernorm"),
    attention_sublayer=("input_layernorm", "post_attention_layernorm"),
    feed_forward_sublayer=("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)

# BERT with rotary positions: Norm after Add, and the names of Llama's projections.
ROTARY_BERT = replace(
    LLAMA,
    attention_output="post_attention_dropout",
    feed_forward=("mlp", "post_mlp_dropout"),
    attention_sublayer=("self_attn", "post_attention_layernorm"),
    feed_forward_sublayer=("mlp", "post_mlp_layernorm"),
    head=("classifier",),
    pooler="pooler",
    decoder=False,
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
        # Query, key and value are fused: LoRA updates all three, with the same 4·r·d weights per layer.
        low_rank=("attn.Wqkv",),
        keys_and_values=(),
        inner="mlp.Wo",
        head=("head", "classifier"),
        rotary=True,
    ),
    "modernbert-decoder": replace(
        LLAMA,
        attention="attn",
        attention_output="attn.out_drop",
        attention_sublayer=("attn_norm", "attn.out_drop"),
        feed_forward_sublayer=("mlp_norm", "mlp"),
        low_rank=("attn.q_proj", "attn.v_proj"),
        keys_and_values=("attn.k_proj", "attn.v_proj"),
        inner="mlp.Wo",
        head=("head", "classifier"),
    ),
    "eurobert": replace(LLAMA, head=("dense", "classifier"), decoder=False),
    "gte": ROTARY_BERT,
    "nomic_bert": ROTARY_BERT,
    "jina_embeddings_v3": replace(ROTARY_BERT, inner="mlp.fc2"),
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gemma2": GEMMA,
    "gemma3_text": GEMMA,
    "phi3": replace(
        LLAMA,
        attention_output="resid_attn_dropout",
        feed_forward=("mlp", "resid_mlp_dropout"),
        attention_sublayer=("input_layernorm", "resid_attn_dropout"),
        feed_forward_sublayer=("post_attention_layernorm", "resid_mlp_dropout"),
        low_rank=("self_attn.qkv_proj",),
        keys_and_values=(),
    ),
    # The encoder alone (T5EncoderModel). Each sub-layer is a module with its Norm before and Add after.
    "t5": Family(
        layers="encoder.block",
        attention="layer.0.SelfAttention",
        attention_output="layer.0.dropout",
        feed_forward=("layer.1.DenseReluDense", "layer.1.dropout"),
        attention_sublayer=("layer.0", "layer.0"),
        feed_forward_sublayer=("layer.1", "layer.1"),
        low_rank=("layer.0.SelfAttention.q", "layer.0.SelfAttention.v"),
        keys_and_values=("layer.0.SelfAttention.k", "layer.0.SelfAttention.v"),
        inner="layer.1.DenseReluDense.wo",
        head=(),
        no_prefix="every score has a bias for the distance between two tokens, and a prefix stands at none",
    ),
}
"""Families by ``config.model_type``. MiniLM models are ``bert``, EmbeddingGemma is ``gemma3_text``."""
