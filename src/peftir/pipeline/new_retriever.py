"""The bi-encoder before training."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers import SentenceTransformer

from peftir.models.biencoder import new_biencoder
from peftir.models.loading import Loading
from peftir.models.sides import Tune
from peftir.study.params import Params


def new_retriever(root: Path, params: Params, tune: Tune = "both") -> SentenceTransformer:
    """Build a bi-encoder on the study's pre-trained backbone, to be tuned on the sides ``tune``."""
    return new_biencoder(
        params.backbone.name,
        revision=params.backbone.revision,
        root=root,
        pooling=params.backbone.pooling,
        similarity=params.retriever.similarity,
        query_length=params.retriever.query_length,
        document_length=params.retriever.document_length,
        query_prefix=params.retriever.query_prefix,
        document_prefix=params.retriever.document_prefix,
        tune=tune,
        loading=Loading.of(params.backbone),
    )
