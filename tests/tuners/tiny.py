"""The tiny random models of these tests."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    EuroBertConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GteConfig,
    JinaEmbeddingsV3Config,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    ModernBertDecoderConfig,
    MPNetConfig,
    NomicBertConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    T5EncoderModel,
    XLMRobertaConfig,
)

SENTENCE = "how do i sort a list of numbers without losing their order the stable way is to call sorted"
WORDS = SENTENCE.split()

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "num_labels": 1,
    "pad_token_id": 0,
}
# Two key and value heads for four query heads, as Llama 3 and Qwen 3 have fewer than queries.
DECODER = {**SIZES, "num_key_value_heads": 2, "head_dim": 8}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 16}


def tiny_config(**changes: Any) -> BertConfig:
    return BertConfig(**SIZES, **changes)


def tiny_configs() -> dict[str, PreTrainedConfig]:
    """A tiny configuration of each family."""
    return {
        "bert": BertConfig(**SIZES),
        "roberta": RobertaConfig(**SIZES),
        "xlm-roberta": XLMRobertaConfig(**SIZES),
        "electra": ElectraConfig(**SIZES, embedding_size=16),
        "distilbert": DistilBertConfig(
            vocab_size=40,
            dim=32,
            n_layers=2,
            n_heads=4,
            hidden_dim=48,
            max_position_embeddings=32,
            num_labels=1,
            pad_token_id=0,
        ),
        "mpnet": MPNetConfig(**SIZES),
        # As DeBERTa-v3 has it: shared keys, buckets and a norm of the relative embeddings.
        "deberta-v2": DebertaV2Config(
            **SIZES,
            **RELATIVE,
            share_att_key=True,
            position_buckets=8,
            norm_rel_ebd="layer_norm",
            position_biased_input=False,
            type_vocab_size=0,
        ),
        "modernbert": ModernBertConfig(
            **{**SIZES, "num_hidden_layers": 4},
            # Every third layer sees the whole text, the others two tokens to each side.
            local_attention=4,
            global_attn_every_n_layers=3,
            classifier_pooling="mean",
            cls_token_id=2,
            sep_token_id=3,
            bos_token_id=2,
            eos_token_id=3,
        ),
        "llama": LlamaConfig(**DECODER),
        "qwen3": Qwen3Config(**DECODER),
    }


WINDOW: dict[str, Any] = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
GEMMA = {**DECODER, **WINDOW, "query_pre_attn_scalar": 8}


def further_configs() -> dict[str, PreTrainedConfig]:
    """A tiny configuration of each family that has the places of one of the above, or nearly."""
    return {
        "modernbert-decoder": ModernBertDecoderConfig(
            **SIZES, local_attention=8, layer_types=WINDOW["layer_types"], bos_token_id=2, eos_token_id=3
        ),
        "eurobert": EuroBertConfig(**SIZES, num_key_value_heads=2),
        "gte": GteConfig(**SIZES),
        "nomic_bert": NomicBertConfig(**SIZES),
        "jina_embeddings_v3": JinaEmbeddingsV3Config(**SIZES),
        "mistral": MistralConfig(**DECODER, sliding_window=4),
        "qwen2": Qwen2Config(**DECODER, use_sliding_window=True, sliding_window=4, max_window_layers=1),
        "gemma2": Gemma2Config(**GEMMA),
        "gemma3_text": Gemma3TextConfig(**GEMMA),
        "embedding_gemma": Gemma3TextConfig(**GEMMA, use_bidirectional_attention=True),
        "phi3": Phi3Config(**DECODER, bos_token_id=2, eos_token_id=3, sliding_window=4),
        "t5": T5Config(vocab_size=40, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4),
    }


def tiny_model(config: PreTrainedConfig, head: bool = False) -> PreTrainedModel:
    """A random model, the same at each call; the bare encoder, or with a head on it."""
    torch.manual_seed(0)
    config = copy.deepcopy(config)
    if isinstance(config, T5Config) and not head:
        model = T5EncoderModel(config)
    else:
        model = (AutoModelForSequenceClassification if head else AutoModel).from_config(config)
    stir(model.parameters())
    return model.eval()


def stir(parameters: Iterable[nn.Parameter], seed: int = 1, size: float = 0.1) -> None:
    """Move weights away from their special starting values, zeros above all."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter += size * torch.randn(parameter.shape, generator=generator)


def tuned(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


FLOAT32_INSIDE = ("modernbert", "llama", "qwen3", *further_configs())
"""Families that compute norms or rotary embeddings in float32, whatever the format of the weights."""


def assert_close(found: torch.Tensor, expected: torch.Tensor, family: str = "bert") -> None:
    """Outputs of a model in float64, computed in two ways, differ by rounding alone.

    The bound is in units of the largest number: a rounding is 1e-16 of it, or 6e-8 where a family has float32
    inside; sums have up to a hundred numbers, and the next layer enlarges the error.
    """
    assert found.dtype == torch.float64
    largest = max(1.0, float(expected.detach().abs().max()))
    share = 1e-5 if family in FLOAT32_INSIDE else 1e-11
    torch.testing.assert_close(found, expected, rtol=0, atol=share * largest)
