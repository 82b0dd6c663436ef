"""Fuse BM25's and a retriever's rankings: by reciprocal rank, and interpolated with a weight from dev."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import Collection
from peftir.pipeline.fused import interpolated, read_both, write_fused
from peftir.ranking.interpolation import best_weight
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.files import replacing, write_json


def fuse(root: Path, params: Params, retriever: str) -> float:
    """Write the fused runs of dev and test, as deep as the retriever's; return the retriever's weight.

    Args:
        root: the study's folder.
        params: the study's settings.
        retriever: the name of the retriever's run, such as ``zero_shot`` or ``lora-13``.
    """
    depth, measure = params.retrieval.depth, params.retriever.selected_by
    qrels = Collection(root / layout.COLLECTION).qrels("dev")
    runs = {split: read_both(root, retriever, split) for split in ("dev", "test")}
    weight, tried = best_weight(lambda weight: interpolated(runs["dev"], weight, depth), qrels, measure)
    with replacing(root / layout.fusion(retriever)) as folder:
        for split, both in runs.items():
            write_fused(folder, split, retriever, both, weight, depth)
    record = {"weight": weight, "dev": {str(w): round(value, 4) for w, value in tried.items()}}
    write_json(root / layout.fusion_weight(retriever), record)
    return weight
