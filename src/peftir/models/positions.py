"""How long a text a backbone can read."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel

TABLES = ("position_embeddings", "wpe", "embed_positions")  # what families call theirs


def most_tokens(folder: Path) -> int | None:
    """The tokens that the backbone in ``folder`` has learned positions for.

    RoBERTa and MPNet count positions from behind their padding token's, so that they have fewer than
    ``max_position_embeddings`` says. ``None`` where positions are rotary or relative: those have no end.
    """
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in TABLES:
            first = module.padding_idx + 1 if module.padding_idx is not None else getattr(module, "offset", 0)
            return module.num_embeddings - int(first)
    return None
