"""The first stages of the chains with a retriever: BM25, the retriever, and both fused."""

from __future__ import annotations

from pathlib import Path

from peftir.study import layout
from peftir.study.rows import BM25_NAME

RRF, INTERPOLATED = "rrf", "interpolated"
ALONE = "none"
"""The name, in tables, of the re-ranker of a first stage that is not re-ranked."""
WITH_FIRST = "+first"
"""The suffix, in tables, of a re-ranker that is interpolated with the first stage."""


def first_stages(retriever: str) -> dict[str, Path]:
    """The folders of the first stages' runs, by the names of the first stages in tables and folders.

    Args:
        retriever: the name of the retriever's run, such as ``zero_shot`` or ``lora-13``.
    """
    return {
        BM25_NAME: layout.BM25_RUNS,
        retriever: layout.run(f"retrieval/{retriever}"),
        RRF: layout.fusion(retriever) / RRF,
        INTERPOLATED: layout.fusion(retriever) / INTERPOLATED,
    }


def but_candidates(retriever: str, candidates: str) -> dict[str, Path]:
    """The first stages but the study's ``candidates``, which are re-ranked without chains, too."""
    return {name: path for name, path in first_stages(retriever).items() if path != layout.run(candidates)}
