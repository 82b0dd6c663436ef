"""The cross-encoder before training."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers import CrossEncoder

from peftir.models.crossencoder import new_crossencoder
from peftir.models.loading import Loading
from peftir.study.params import Params


def new_reranker(root: Path, params: Params) -> CrossEncoder:
    """Build a cross-encoder on the study's pre-trained backbone."""
    return new_crossencoder(
        params.backbone.name,
        revision=params.backbone.revision,
        root=root,
        length=params.reranker.length,
        yes_no=params.reranker.yes_no,
        loading=Loading.of(params.backbone),
    )
