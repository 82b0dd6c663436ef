"""The retriever: a bi-encoder that maps queries and documents to vectors, ranked by inner product."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from peftir.models import manifest
from peftir.models.backbone import backbone_folder
from peftir.models.ending import append_eos, ensure_padding_token
from peftir.models.inference import run_in_batches
from peftir.models.loading import (
    AS_DEFAULT,
    Loading,
    keep_4_bit_weights,
    loading_errors,
    refuse_other_formats,
)
from peftir.models.sides import Tune, modules_of, with_sides
from peftir.models.starts import own_layers

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
    tune: Tune = "both",
    loading: Loading = AS_DEFAULT,
) -> SentenceTransformer:
    """Build a bi-encoder on a pre-trained backbone: pooled token embeddings, L2-normalized for the cosine.

    Args:
        backbone: a hub id or a local folder.
        revision, root: see :func:`peftir.models.backbone.backbone_folder`.
        pooling: a key of ``POOLINGS``, or ``model`` for the pooling and the Dense layers of a backbone that
            is a sentence-transformers model.
        similarity: ``cosine``, or ``dot`` for the inner product of unnormalized vectors.
        query_length, document_length: maximum number of tokens, special tokens and prefix included.
        query_prefix, document_prefix: prompt before each text, such as ``"query: "``.
        tune: which sides a method will change, see :func:`peftir.models.sides.with_sides`.
        loading: format of the weights, attention and end of texts.

    Raises:
        PeftirError: the backbone is not found, or cannot be loaded in this way.
    """
    folder = backbone_folder(backbone, revision, root)
    manifest.forbid_reduced_precision()
    model_arguments = loading.model_arguments(folder)
    with loading_errors(loading):
        transformer = Transformer(
            str(folder),
            query_length=query_length,
            document_length=document_length,
            model_kwargs=model_arguments,
            processor_kwargs=loading.tokenizer_arguments(folder),
        )
    refuse_other_formats(transformer, f"backbone.name: {backbone}", loading.weights)
    keep_4_bit_weights(transformer)
    if loading.append_eos:
        append_eos(transformer.tokenizer)
    ensure_padding_token(transformer.tokenizer)
    if pooling == "model":
        layers = own_layers(folder)
    else:
        layers = [Pooling(transformer.get_embedding_dimension(), POOLINGS[pooling], include_prompt=True)]
    return SentenceTransformer(
        modules=[with_sides(transformer, tune), *layers, *([Normalize()] if similarity == "cosine" else [])],
        similarity_fn_name=similarity,
        prompts={"query": query_prefix, "document": document_prefix},
    )


def encode(model: SentenceTransformer, texts: list[str], task: TextKind, precision: str) -> np.ndarray:
    """Encode ``texts``, each with its task's prefix; return ``[len(texts), d]`` float32."""
    texts, length = texts_and_length(model, texts, task)
    return run_in_batches(
        model, texts, None, length=length, output="sentence_embedding", precision=precision, task=task
    )


def texts_and_length(model: SentenceTransformer, texts: list[str], task: TextKind) -> tuple[list[str], int]:
    """``texts`` with their task's prefix, and the maximum number of tokens of the task."""
    transformer = next(iter(modules_of(model).values()))
    length = transformer.query_length if task == "query" else transformer.document_length
    prefix = model.prompts[task] or ""
    return [prefix + text for text in texts], length
