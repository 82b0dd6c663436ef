"""The documents of each train query that a ranking of negatives has, and the writing of such rankings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from peftir.data.collection import Qrels
from peftir.ranking.candidates import read_candidates
from peftir.ranking.runs import Hits, score_and_id, write_run


def train_candidates(
    path: Path, qrels: Qrels, depth: int | None, more: dict[str, list[str]] | None = None
) -> dict[str, list[str]]:
    """The top ``depth`` documents of each judged query of a run, those in ``more``, and its relevant ones.

    Queries without a relevant document, on which no model is trained, are left out.
    """
    candidates = read_candidates(path, qrels, depth)
    ids = candidates.documents.to_pylist()  # one string for a document, however many queries have it
    found: dict[str, list[str]] = {}
    for query, grades in qrels.items():
        if relevant := [document for document, grade in grades.items() if grade > 0]:
            ranked = [ids[number] for number in candidates.of(query)]
            found[query] = list(dict.fromkeys([*(more or {}).get(query, ()), *ranked, *relevant]))
    return found


def write_ranking(path: Path, scored: Iterable[tuple[str, Hits]], tag: str) -> None:
    """Write the hits of each query, which are in any order, as a run."""
    ranked = ((query, sorted(hits, key=score_and_id, reverse=True)) for query, hits in scored)
    write_run(path, ranked, tag)
