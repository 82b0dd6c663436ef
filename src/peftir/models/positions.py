"""The maximum text length of a backbone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel

TABLES = ("position_embeddings", "wpe", "embed_positions")  # names of the table, by model family


def most_tokens(folder: Path) -> int | None:
    """The number of learned positions of the backbone in ``folder``; ``None`` if rotary or relative.

    RoBERTa and MPNet start positions after their padding token's id, so they have fewer than
    ``max_position_embeddings``.
    """
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in TABLES:
            first = module.padding_idx + 1 if module.padding_idx is not None else getattr(module, "offset", 0)
            return module.num_embeddings - int(first)
    return None
