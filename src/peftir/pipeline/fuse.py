"""Fuse BM25's and a retriever's rankings: by reciprocal rank, and interpolated with a weight from dev."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import Collection
from peftir.ranking.fusion import interpolated_rankings, reciprocal_rank_fusion
from peftir.ranking.interpolation import best_weight
from peftir.ranking.runs import Hits, Run, read_run, write_run
from peftir.study import layout
from peftir.study.chain import INTERPOLATED, RRF
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
    runs = {split: _both(root, retriever, split) for split in ("dev", "test")}

    def interpolated(split: str, weight: float) -> Run:
        return {query: interpolated_rankings(*hits, weight)[:depth] for query, hits in runs[split].items()}

    weight, tried = best_weight(lambda weight: interpolated("dev", weight), qrels, measure)
    with replacing(root / layout.fusion(retriever)) as folder:
        for split, both in runs.items():
            ranked = {query: reciprocal_rank_fusion(hits)[:depth] for query, hits in both.items()}
            write_run(folder / RRF / f"{split}.trec", ranked, tag=f"{RRF}-{retriever}")
            mixed = interpolated(split, weight)
            write_run(folder / INTERPOLATED / f"{split}.trec", mixed, tag=f"{INTERPOLATED}-{retriever}")
    record = {"weight": weight, "dev": {str(w): round(value, 4) for w, value in tried.items()}}
    write_json(root / layout.fusion_weight(retriever), record)
    return weight


def _both(root: Path, retriever: str, split: str) -> dict[str, tuple[Hits, Hits]]:
    """BM25's and the retriever's hits of each query that either has hits for."""
    folders = (layout.BM25_RUNS, layout.run(f"retrieval/{retriever}"))
    bm25, dense = (read_run(root / folder / f"{split}.trec") for folder in folders)
    return {query: (bm25.get(query, []), dense.get(query, [])) for query in bm25 | dense}
