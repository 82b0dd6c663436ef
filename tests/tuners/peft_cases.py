"""Every type of PEFT that works on an encoder, with a configuration for the tiny BERT."""

from __future__ import annotations

from typing import Any

import torch
from tiny import tiny_config, tiny_model
from torch import nn
from transformers import PreTrainedModel

QUERY_VALUE = ["query", "value"]

CONFIGS: dict[str, dict[str, Any]] = {
    "ADALORA": {"init_r": 3, "target_r": 3, "target_modules": QUERY_VALUE},
    "ADAMSS": {"r": 8, "target_modules": ["value"]},
    "BEFT": {"target_modules": ["value"]},
    "BOFT": {"boft_block_size": 4, "target_modules": QUERY_VALUE},
    "C3A": {"block_size": 8, "target_modules": QUERY_VALUE},
    "DEFT": {"r": 3},
    "DELORA": {"r": 3},
    "FOURIERFT": {"n_frequency": 21, "target_modules": QUERY_VALUE},
    "FROD": {},
    "GLORA": {"r": 3, "config_D_E": "vector"},
    "GRALORA": {"r": 4, "alpha": 8, "target_modules": QUERY_VALUE},
    "HIRA": {"r": 3},
    "HRA": {"r": 4},
    "IA3": {"target_modules": ["key", "value", "intermediate.dense"], "feedforward_modules": []},
    "LILY": {"r": 3},
    "LN_TUNING": {"target_modules": ["LayerNorm"]},
    "LOHA": {"r": 3, "alpha": 3},
    "LOKR": {"r": 3},
    "LORA": {"r": 3, "use_dora": True, "target_modules": "all-linear", "bias": "lora_only"},
    "MISS": {"r": 3},
    "OFT": {"oft_block_size": 8, "bias": "oft_only"},
    "OSF": {"effective_rank": 9, "target_modules": QUERY_VALUE},
    "PEANUT": {"r": 3},
    "PSOFT": {"r": 5},
    "PVERA": {"r": 16},
    "RANDLORA": {"r": 4},
    "ROAD": {"variant": "road_2", "group_size": 8},
    "SHIRA": {"r": 3},
    "SUPERTUNING": {"sparsity": 0.9},
    "TINYLORA": {"u": 8},
    "TRAINABLE_TOKENS": {"token_indices": [7, 9], "target_modules": ["word_embeddings"]},
    "UNILORA": {"theta_d_length": 64},
    "VBLORA": {"vector_length": 8, "num_vectors": 16},
    "VERA": {"r": 16},
    "WAVEFT": {"n_frequency": 21, "target_modules": QUERY_VALUE},
}

BATCH = {
    "input_ids": torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}


def knobs(kind: str) -> dict[str, Any]:
    return {"config": {"peft_type": kind, **CONFIGS[kind]}}


def bert(head: bool) -> PreTrainedModel:
    return tiny_model(tiny_config(), head)


def outputs(model: nn.Module) -> list[Any]:
    with torch.no_grad():
        return model.eval()(**BATCH)[0].tolist()
