"""Runs: the hits of each query, in memory and as TREC run files.

A line of a run file is ``query Q0 document rank score tag``. Tools such as trec_eval order documents by
score, as 32-bit floats, and break ties by document id. So that they use the same ranking, :func:`write_run`
writes scores that are strictly descending as 32-bit floats.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peftir.system.errors import PeftirError
from peftir.system.files import replacing, unusable

Hits = list[tuple[str, float]]  # (document, score) pairs, best first
Run = dict[str, Hits]  # by query
Rankings = Iterable[tuple[str, Hits]]  # the items of a run, possibly as a stream

COLUMNS = "query Q0 document rank score tag"


def score_and_id(hit: tuple[str, float]) -> tuple[float, str]:
    """Sort key of hits, in descending order: the score, then the document id, as in trec_eval."""
    return hit[1], hit[0]


def search_excluding_own(
    search: Callable[[int], Rankings], depth: int, own_documents: bool
) -> Iterator[tuple[str, Hits]]:
    """Yield the ``depth`` top hits of each query, without the query's own document.

    Args:
        search: returns the hits of each query, for a given depth.
        own_documents: whether a document with a query's id is that query (:attr:`Collection.own_documents`).
    """
    for query, hits in search(depth + own_documents):
        yield query, [hit for hit in hits if hit[0] != query][:depth] if own_documents else hits


def write_run(path: Path, run: Run | Rankings, tag: str) -> None:
    """Write ``run`` to ``path``, queries in its order; the file is byte-identical for the same run.

    A stream of rankings is written without being kept in memory.

    A score is written as the shortest decimal of its 32-bit float. If it is not below the previous rank's
    score, the next lower 32-bit float is written instead, which keeps the order of tied or nearly tied hits.
    Queries without hits have no line.

    Raises:
        PeftirError: an id is empty, contains a space or is repeated for a query, or a score is not finite.
        ValueError: the hits of a query are not in descending order of scores.
    """
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for query, hits in run.items() if isinstance(run, dict) else run:
            _check_ids(path, query, [document for document, _ in hits])
            scores = _strictly_descending(path, query, [score for _, score in hits]).astype(str).tolist()
            file.writelines(
                f"{query} Q0 {document} {rank} {score} {tag}\n"
                for rank, ((document, _), score) in enumerate(zip(hits, scores, strict=True), start=1)
            )


def read_run(path: Path, queries: Container[str] | None = None) -> Run:
    """Read the run at ``path``, only ``queries`` if given, in the order of their first lines.

    As in trec_eval, a query's hits are ordered by score, ties by descending document id; ranks and the order
    of lines are ignored.

    Raises:
        PeftirError: the file is missing, a line is malformed, or a document is repeated.
    """
    run: Run = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    query, _, document, _, text, _ = line.split()
                    score = float(text)
                except ValueError:
                    raise _malformed(path, number, line) from None
                if not math.isfinite(score):
                    raise _malformed(path, number, line)
                if queries is not None and query not in queries:
                    continue
                # Equal ids share one string object.
                run.setdefault(query, []).append((sys.intern(document), score))
    except FileNotFoundError as error:
        raise PeftirError(f"{path}: no such run file; make it first (dvc repro)") from error
    except OSError as error:
        raise unusable(path, error) from error
    except UnicodeDecodeError as error:
        raise PeftirError(f"{path}: not UTF-8 text, expected lines of '{COLUMNS}'; make it again") from error
    for query, hits in run.items():
        if len(dict(hits)) < len(hits):
            raise _duplicate(path, query)
        hits.sort(key=score_and_id, reverse=True)
    return run


def _check_ids(path: Path, query: str, documents: list[str]) -> None:
    for name in (query, *documents):
        if name.split() != [name]:
            raise PeftirError(
                f"{path}: the id {name!r} cannot stand in a run file; ids need at least one character and no "
                "whitespace, so change it in the collection"
            )
    if len(set(documents)) < len(documents):
        twice = next(document for document in documents if documents.count(document) > 1)
        raise PeftirError(
            f"{path}: query {query} ranks the document {twice} twice; ids must be unique in the corpus"
        )


def _strictly_descending(path: Path, query: str, scores: list[float]) -> NDArray[np.float32]:
    """``scores`` as strictly descending 32-bit floats, ``[len(scores)]``."""
    given = np.asarray(scores, dtype=np.float64)
    if (given[1:] > given[:-1]).any():
        raise ValueError(f"{path}: the scores of query {query} rise; a run is written best first")
    with np.errstate(over="ignore"):  # too large values become infinite and are rejected below
        written = given.astype(np.float32)
    if not (written[1:] < written[:-1]).all():
        for rank in range(1, len(written)):
            if not written[rank] < written[rank - 1]:
                written[rank] = np.nextafter(written[rank - 1], np.float32(-np.inf))
    if not np.isfinite(written).all():
        bad = scores[int(np.argmin(np.isfinite(written)))]
        raise PeftirError(f"{path}: query {query} has the score {bad}, expected a finite 32-bit number")
    return written


def _malformed(path: Path, number: int, line: str) -> PeftirError:
    """The error for a line without six columns or without a finite score."""
    columns = line.split()
    if len(columns) != 6:
        return PeftirError(
            f"{path}:{number}: {len(columns)} columns, expected the 6 of '{COLUMNS}'; make the run again"
        )
    return PeftirError(f"{path}:{number}: the score {columns[4]!r} is not a number; make the run again")


def _duplicate(path: Path, query: str) -> PeftirError:
    """The error for the first line that repeats a document of ``query``."""
    seen = set()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            found, _, document, *_ = line.split()
            if found == query and document in seen:
                return PeftirError(
                    f"{path}:{number}: query {query} lists the document {document} again, expected each "
                    "once; make the run again"
                )
            if found == query:
                seen.add(document)
    raise AssertionError(f"{path}: no duplicate for query {query}")
