"""The documents of each train query that a ranking of negatives has, and the writing of such rankings."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, zip_longest
from pathlib import Path

from peftir.data.collection import Qrels
from peftir.ranking.candidates import read_candidates
from peftir.ranking.runs import Hits, score_and_id, write_run


def train_candidates(
    path: Path, qrels: Qrels, depth: int, other: dict[str, list[str]] | None = None
) -> dict[str, list[str]]:
    """The top ``depth`` documents of each judged query of a run, and its relevant ones.

    With another ranking, ``other``, the top is that of both together, which take turns from rank to rank.
    With a ``depth`` of 0 it is ``other`` alone. Queries without a relevant document, on which no model is
    trained, are left out.
    """
    candidates = read_candidates(path, qrels, depth)
    ids = candidates.documents.to_pylist()  # one string for a document, however many queries have it
    found: dict[str, list[str]] = {}
    for query, grades in qrels.items():
        if relevant := [document for document, grade in grades.items() if grade > 0]:
            ranked = [ids[number] for number in candidates.of(query)]
            first = (other or {}).get(query, [])
            turns = chain.from_iterable(zip_longest(first, ranked))
            top = [document for document in dict.fromkeys(turns) if document is not None]
            found[query] = list(dict.fromkeys([*top[: depth or None], *relevant]))
    return found


def write_ranking(path: Path, scored: Iterable[tuple[str, Hits]], tag: str) -> None:
    """Write the hits of each query, which are in any order, as a run."""
    ranked = ((query, sorted(hits, key=score_and_id, reverse=True)) for query, hits in scored)
    write_run(path, ranked, tag)
