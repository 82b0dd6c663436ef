"""Running a model over many texts, in batches of like length: hardly a token is computed that is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir.models.precision import computing_in
from peftir.models.tokenizing import features, tokenize

# In a batch, padding included: on a processor so few that they stay in its caches, on a GPU so many that it
# is not the starting of its kernels that takes the time.
TOKENS = 2560
GPU_TOKENS = 65536


def run_in_batches(
    model: SentenceTransformer | CrossEncoder,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    length: int,
    output: str,
    precision: str,
) -> np.ndarray:
    """What ``model`` gives as ``output`` for each text, or text and its pair, in their order, as float32.

    Args:
        length: tokens kept of each; of a pair the longer text is cut first.
        output: a key of the model's features, such as ``sentence_embedding``, ``[n, d]``.

    Returns:
        ``[len(texts), …]``, the shape that the model gives for one batch.
    """
    model.eval()
    if not texts:
        return np.zeros(0, dtype=np.float32)
    encoded = tokenize(model.tokenizer, texts, pairs, length)
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    order = np.argsort(-lengths, kind="stable")
    tokens = TOKENS if model.device.type == "cpu" else GPU_TOKENS
    outputs = []
    with torch.inference_mode(), computing_in(model, precision):
        for rows in _batches(lengths[order], tokens):
            batch = {key: [values[row] for row in order[rows]] for key, values in encoded.items()}
            outputs.append(model(features(model.tokenizer, batch, model.device))[output].cpu())
    return torch.cat(outputs).numpy()[np.argsort(order)]


def _batches(lengths: np.ndarray, tokens: int) -> Iterator[slice]:
    """Cut falling ``lengths`` into slices that hold at most ``tokens`` when padded to their first."""
    start = 0
    while start < len(lengths):
        end = start + max(1, tokens // int(lengths[start]))
        yield slice(start, end)
        start = end
