"""The re-ranker: a cross-encoder that scores a query and a document together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from tqdm import tqdm

from peftir.data.collection import TextLookup
from peftir.models import manifest
from peftir.models.backbone import backbone_folder, ensure_padding_token
from peftir.models.inference import run_in_batches
from peftir.ranking.runs import Run

CHUNK = 4096  # pairs whose texts are in memory at a time; enough for batches of similar length


def new_crossencoder(
    backbone: str, *, revision: str | None = None, root: Path = Path(), length: int
) -> CrossEncoder:
    """Build a cross-encoder on a pre-trained backbone, with a new head of one output without an activation.

    Args:
        backbone: a hub id or a local folder.
        revision, root: see :func:`peftir.models.backbone.backbone_folder`.
        length: maximum number of tokens of a pair; the longer text is truncated first.

    Raises:
        PeftirError: the backbone is not found, or its weights cannot be loaded as float32.
    """
    folder = backbone_folder(backbone, revision, root)
    manifest.forbid_reduced_precision()
    model = CrossEncoder(
        str(folder),
        num_labels=1,
        max_length=length,
        activation_fn=torch.nn.Identity(),
        model_kwargs=manifest.loading(folder),
        processor_kwargs={**manifest.TOKENIZER},
    )
    manifest.refuse_other_formats(model, f"backbone.name: {backbone}")
    ensure_padding_token(model.tokenizer)
    # The heads of decoders use it to find each text's last token.
    if model[0].model.config.pad_token_id is None:
        model[0].model.config.pad_token_id = model.tokenizer.pad_token_id
    return model


def score(model: CrossEncoder, pairs: list[tuple[str, str]], precision: str) -> np.ndarray:
    """Score (query, document) ``pairs``; return ``[len(pairs)]`` float32."""
    queries, documents = [query for query, _ in pairs], [document for _, document in pairs]
    scores = run_in_batches(
        model, queries, documents, length=model.max_length, output="scores", precision=precision
    )
    return scores.reshape(len(pairs))


def score_candidates(
    model: CrossEncoder, queries: dict[str, str], candidates: Run, texts: TextLookup, precision: str
) -> Run:
    """Score each query's ``candidates`` with ``model``; the order of the candidates is kept."""
    pairs = pairs_of(candidates)
    scores = np.zeros(len(pairs), dtype=np.float32)
    score_chunks(model, queries, pairs, texts, precision, scores)
    return with_scores(candidates, scores)


def pairs_of(candidates: Run) -> list[tuple[str, str]]:
    """The (query id, document id) pairs of ``candidates``, in their order."""
    return [(query, doc) for query, ranking in candidates.items() for doc, _ in ranking]


def with_scores(candidates: Run, scores: np.ndarray) -> Run:
    """``candidates`` with new ``scores``, given in the order of :func:`pairs_of`."""
    values = iter(scores.tolist())
    return {query: [(doc, next(values)) for doc, _ in ranking] for query, ranking in candidates.items()}


def score_chunks(
    model: CrossEncoder,
    queries: dict[str, str],
    pairs: list[tuple[str, str]],
    texts: TextLookup,
    precision: str,
    scores: np.ndarray,
    worker: int = 0,
    workers: int = 1,
) -> None:
    """Score every ``workers``-th chunk of ``pairs`` from ``worker`` on into ``scores``, ``[len(pairs)]``."""
    starts = range(worker * CHUNK, len(pairs), workers * CHUNK)
    few = len(pairs) <= CHUNK
    for start in tqdm(starts, desc="scoring", unit="chunk", disable=few, position=worker or None):
        chunk = slice(start, start + CHUNK)
        documents = texts([doc for _, doc in pairs[chunk]])
        query_texts = [queries[query] for query, _ in pairs[chunk]]
        scores[chunk] = score(model, list(zip(query_texts, documents, strict=True)), precision)
