"""Floating-point operations of a training, and the share of a GPU's peak that they reach (MFU).

Model FLOPs utilization (Chowdhery et al. 2022, *PaLM*, appendix B) counts what a training needs, not what is
computed again for gradient checkpointing or caching. A matrix of n weights in the encoder takes 2 n
operations per token forward, 2 n backward for the gradient of its input, and 2 n for its own gradient if it
is trained. Attention takes 4 d per pair of tokens and layer forward, with the hidden size d, and twice as
many backward. Vectors, embeddings, pooler and head are left out.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from peftir.training.costs import TextsRead
from peftir.tuners.places import Backbone

PEAKS = {
    "H200": {"bfloat16": 989e12, "float32": 67e12},
    "H100 80GB HBM3": {"bfloat16": 989e12, "float32": 67e12},
    "H100 PCIe": {"bfloat16": 756e12, "float32": 51e12},
    "A100": {"bfloat16": 312e12, "float32": 19.5e12},
    "L40S": {"bfloat16": 362e12, "float32": 91.6e12},
    "L4": {"bfloat16": 121e12, "float32": 30.3e12},
}
"""Operations per second of dense matrix products by words in the GPU's name. Data sheets give those of
bfloat16 with sparsity: twice as many. float32 is without TF32, which trainings do not use."""


def training_operations(model: Any, read: TextsRead) -> float:
    """The operations of the training steps in which ``model``, a transformers model, read texts."""
    linear = _linear(model)
    matrices = sum(each.in_features * each.out_features for each in linear)
    trained = sum(each.weight.numel() for each in linear if each.weight.requires_grad)
    return float((4 * matrices + 2 * trained) * read.tokens + 3 * _attention(model) * read.squares)


def forward_operations(model: Any, read: TextsRead) -> float:
    """The operations of the passes without a gradient in which ``model``, as above, read texts."""
    matrices = sum(each.in_features * each.out_features for each in _linear(model))
    return float(2 * matrices * read.tokens + _attention(model) * read.squares)


def _linear(model: Any) -> list[nn.Linear]:
    """The linear layers that each token passes, also those of inserted modules."""
    encoder, pooler = model.base_model, Backbone.of(model).pooler
    once = set() if pooler is None else {*pooler.modules()}  # computed once per text, if at all
    return [each for each in encoder.modules() if isinstance(each, nn.Linear) and each not in once]


def _attention(model: Any) -> int:
    """The forward operations of attention per pair of tokens."""
    return 4 * int(model.config.hidden_size) * int(model.config.num_hidden_layers)


def peak_operations(precision: str) -> float | None:
    """The operations per second that this machine's GPU has at most; None without a GPU, or if unknown."""
    return peak_of(torch.cuda.get_device_name(), precision) if torch.cuda.is_available() else None


def peak_of(name: str, precision: str) -> float | None:
    """The peak of the GPU called ``name``.

    It is None for one that is not in ``PEAKS``, a slower one of the same words (NVL), or a part of one (MIG).
    """
    if "MIG" in name or "NVL" in name:
        return None
    return next(
        (peaks[precision] for words, peaks in PEAKS.items() if re.search(rf"\b{words}\b", name)), None
    )
