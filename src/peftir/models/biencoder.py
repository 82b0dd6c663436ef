"""The retriever: a bi-encoder that maps queries and documents to vectors whose inner product ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from peftir.models import manifest
from peftir.models.backbone import backbone_folder, ensure_padding_token
from peftir.models.inference import run_in_batches

POOLINGS = {"cls": "cls", "mean": "mean", "last": "lasttoken"}
TextKind = Literal["query", "document"]


def new_biencoder(
    backbone: str,
    *,
    revision: str | None = None,
    root: Path = Path(),
    pooling: str,
    similarity: Literal["cosine", "dot"] = "cosine",
    query_length: int,
    document_length: int,
    query_prefix: str = "",
    document_prefix: str = "",
) -> SentenceTransformer:
    """A bi-encoder on an untouched backbone: pooled token vectors, scaled to length 1 for the cosine.

    Args:
        backbone: a hub id or a local folder.
        revision, root: see :func:`peftir.models.backbone.backbone_folder`.
        pooling: a key of ``POOLINGS``.
        similarity: ``cosine``, or ``dot`` for the inner product of the vectors as they are.
        query_length, document_length: tokens kept of each, special tokens and prefix included.
        query_prefix, document_prefix: what stands before each text, such as ``"query: "``.

    Raises:
        PeftirError: there is no such backbone, or its weights cannot be loaded as float32.
    """
    folder = backbone_folder(backbone, revision, root)
    manifest.forbid_reduced_precision()
    transformer = Transformer(
        str(folder),
        query_length=query_length,
        document_length=document_length,
        model_kwargs=manifest.loading(folder),
        processor_kwargs={**manifest.TOKENIZER},
    )
    manifest.refuse_other_formats(transformer, f"backbone.name: {backbone}")
    ensure_padding_token(transformer.tokenizer)
    pooled = Pooling(transformer.get_embedding_dimension(), POOLINGS[pooling], include_prompt=True)
    return SentenceTransformer(
        modules=[transformer, pooled, *([Normalize()] if similarity == "cosine" else [])],
        similarity_fn_name=similarity,
        prompts={"query": query_prefix, "document": document_prefix},
    )


def encode(model: SentenceTransformer, texts: list[str], task: TextKind, precision: str) -> np.ndarray:
    """Vectors of ``texts``, ``[len(texts), d]`` float32, each text with its task's prefix."""
    texts, length = texts_and_length(model, texts, task)
    return run_in_batches(model, texts, None, length=length, output="sentence_embedding", precision=precision)


def texts_and_length(model: SentenceTransformer, texts: list[str], task: TextKind) -> tuple[list[str], int]:
    """``texts`` with their task's prefix, and how many tokens of each are read."""
    transformer: Any = model[0]
    length = transformer.query_length if task == "query" else transformer.document_length
    prefix = model.prompts[task] or ""
    return [prefix + text for text in texts], length
