"""How long a text each family can read, against what its model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    MPNetConfig,
    OPTConfig,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
)

from peftir.models.positions import most_tokens

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 24,
}
DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 8}
MODERN = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
FAMILIES = {
    "BERT": (BertConfig(**SIZES), 24),
    "RoBERTa": (RobertaConfig(**SIZES, **SPECIAL), 22),
    "RoBERTa that pads with 0": (RobertaConfig(**SIZES, pad_token_id=0), 23),
    "XLM-RoBERTa": (XLMRobertaConfig(**SIZES, **SPECIAL), 22),
    "MPNet": (MPNetConfig(**SIZES, **SPECIAL), 22),
    "ELECTRA": (ElectraConfig(**SIZES, embedding_size=8), 24),
    "DistilBERT": (
        DistilBertConfig(
            vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=16, max_position_embeddings=24
        ),
        24,
    ),
    "GPT-2": (GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=24), 24),
    "OPT": (OPTConfig(**SIZES, ffn_dim=16, word_embed_proj_dim=16), 24),
    "DeBERTa-v3": (DebertaV2Config(**SIZES, **DEBERTA, position_biased_input=False, type_vocab_size=0), None),
    "ModernBERT": (ModernBertConfig(**SIZES, **MODERN), None),
    "Llama": (LlamaConfig(**SIZES), None),
    "Qwen3": (Qwen3Config(**SIZES, head_dim=8, num_key_value_heads=2), None),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_most_tokens_are_read_and_not_one_more(family: str, tmp_path: Path) -> None:
    config, most = FAMILIES[family]
    config.save_pretrained(tmp_path)
    assert most_tokens(tmp_path) == most
    model = AutoModel.from_config(config).eval()
    with torch.no_grad():
        states = model(torch.full((1, most or 100), 5)).last_hidden_state
        assert torch.isfinite(states).all()
        if most is not None:
            with pytest.raises((IndexError, RuntimeError)):
                model(torch.full((1, most + 1), 5))
