"""Run a model over many texts in batches of similar length, with little padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir.models.precision import computing_in
from peftir.models.tokenizing import features, tokenize

# Tokens of a batch, padding included: on a CPU few enough for its caches, on a GPU enough that the time of
# launching kernels does not matter.
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
    **forward: str,
) -> np.ndarray:
    """The feature ``output`` of ``model`` for each text, or each pair of texts, in their order, as float32.

    Args:
        length: maximum number of tokens; in a pair the longer text is truncated first.
        output: a key of the model's features, such as ``sentence_embedding``, ``[n, d]``.
        forward: further arguments of the model, such as ``task``.

    Returns:
        ``[len(texts), …]``, with the other dimensions of the model's output.
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
            inputs = features(model.tokenizer, batch, model.device)
            outputs.append(model(inputs, **forward)[output].cpu())
    return torch.cat(outputs).numpy()[np.argsort(order)]


def _batches(lengths: np.ndarray, tokens: int) -> Iterator[slice]:
    """Split descending ``lengths`` into slices of at most ``tokens`` tokens when padded to the longest."""
    start = 0
    while start < len(lengths):
        end = start + max(1, tokens // int(lengths[start]))
        yield slice(start, end)
        start = end
