"""BM25's and a retriever's rankings, and what both fusions make of them."""

from __future__ import annotations

from pathlib import Path

from peftir.ranking.fusion import interpolated_rankings, reciprocal_rank_fusion
from peftir.ranking.runs import Hits, Run, read_run, write_run
from peftir.study import layout
from peftir.study.chain import INTERPOLATED, RRF

Both = dict[str, tuple[Hits, Hits]]
"""BM25's and the retriever's hits of each query."""


def write_fused(folder: Path, split: str, retriever: str, both: Both, weight: float, depth: int) -> None:
    """Write both fused runs of ``split`` into ``folder``, to ``depth``; ``weight`` is the retriever's."""
    ranked = {query: reciprocal_rank_fusion(hits)[:depth] for query, hits in both.items()}
    write_run(folder / RRF / f"{split}.trec", ranked, tag=f"{RRF}-{retriever}")
    mixed = interpolated(both, weight, depth)
    write_run(folder / INTERPOLATED / f"{split}.trec", mixed, tag=f"{INTERPOLATED}-{retriever}")


def interpolated(both: Both, weight: float, depth: int) -> Run:
    """The interpolation of both rankings with the retriever's ``weight``, to ``depth``."""
    return {query: interpolated_rankings(*hits, weight)[:depth] for query, hits in both.items()}


def read_both(root: Path, retriever: str, split: str, test: str | None = None) -> Both:
    """The hits of each query of ``split``, or of a test set, that either ranking has hits for."""
    folders = (layout.BM25_RUNS, layout.run(f"retrieval/{retriever}"))
    bm25, dense = (read_run(root / layout.of(test, folder) / f"{split}.trec") for folder in folders)
    return {query: (bm25.get(query, []), dense.get(query, [])) for query in bm25 | dense}
