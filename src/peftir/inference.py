"""Running a model over many texts, in batches of like length: hardly a token is computed that is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir.precision import computing_in

TOKENS = 2560  # in a batch, padding included: small enough for the processor's caches


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
    encoded = model.tokenizer(
        list(texts), None if pairs is None else list(pairs), truncation="longest_first", max_length=length
    )
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    order = np.argsort(-lengths, kind="stable")
    outputs = []
    with torch.inference_mode(), computing_in(precision):
        for rows in _batches(lengths[order], TOKENS):
            features = model.tokenizer.pad(
                {key: [values[row] for row in order[rows]] for key, values in encoded.items()},
                return_tensors="pt",
            )
            outputs.append(model(dict(features.to(model.device)))[output].float().cpu())
    return torch.cat(outputs).numpy()[np.argsort(order)]


def _batches(lengths: np.ndarray, tokens: int) -> Iterator[slice]:
    """Cut falling ``lengths`` into slices that hold at most ``tokens`` when padded to their first."""
    start = 0
    while start < len(lengths):
        end = start + max(1, tokens // int(lengths[start]))
        yield slice(start, end)
        start = end
