"""Runs: what a ranker returned for each query, in memory and as TREC run files.

A line of a run file is ``query Q0 document rank score tag``. Tools that read one, trec_eval first of all, go
by the score alone and break ties by document id, in 32-bit floats. So that they see the ranking that was
meant, :func:`write_run` writes scores that fall strictly from rank to rank when read as 32-bit floats.
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
Rankings = Iterable[tuple[str, Hits]]  # the items of a run, as they come

COLUMNS = "query Q0 document rank score tag"


def score_and_id(hit: tuple[str, float]) -> tuple[float, str]:
    """What documents are ordered by, highest first: the score, equal ones by id, as in trec_eval."""
    return hit[1], hit[0]


def search_excluding_own(
    search: Callable[[int], Rankings], depth: int, own_documents: bool
) -> Iterator[tuple[str, Hits]]:
    """The ``depth`` best documents of each query, less the query's own if its id says which that is.

    Args:
        search: gives the rankings of as many documents a query as it is told.
        own_documents: a document with a query's id is that query (:attr:`Collection.own_documents`).
    """
    for query, hits in search(depth + own_documents):
        yield query, [hit for hit in hits if hit[0] != query][:depth] if own_documents else hits


def write_run(path: Path, run: Run | Rankings, tag: str) -> None:
    """Write ``run`` to ``path``, queries in its order; the same run always gives the same bytes.

    Rankings are written as they come: a run that is too large for the memory can be written too.

    A score is written as the shortest decimal that names its 32-bit float. Where that is not below the score
    of the rank before, the next 32-bit float below that one is written in its place: an order given by equal,
    or nearly equal, scores is kept. A query without documents leaves no line.

    Raises:
        PeftirError: an id is empty, has a space in it or comes twice for a query, or a score is not finite.
        ValueError: the scores of a query rise somewhere: the run is not best first.
    """
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for query, hits in run.items() if isinstance(run, dict) else run:
            _check_ids(path, query, [document for document, _ in hits])
            scores = _falling(path, query, [score for _, score in hits]).astype(str).tolist()
            file.writelines(
                f"{query} Q0 {document} {rank} {score} {tag}\n"
                for rank, ((document, _), score) in enumerate(zip(hits, scores, strict=True), start=1)
            )


def read_run(path: Path, queries: Container[str] | None = None) -> Run:
    """Read the run at ``path``, of ``queries`` alone if given, in the order in which they first come.

    As in trec_eval, a query's documents are ordered by score, equal scores by descending document id; the
    ranks and the order of the lines do not count.

    Raises:
        PeftirError: there is no such file, or a line is not one of a run, or lists a document again.
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
                # A document's id is one string, however many queries returned it.
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


def _falling(path: Path, query: str, scores: list[float]) -> NDArray[np.float32]:
    """``scores`` as 32-bit floats that fall strictly; shape as ``scores``."""
    given = np.asarray(scores, dtype=np.float64)
    if (given[1:] > given[:-1]).any():
        raise ValueError(f"{path}: the scores of query {query} rise; a run is written best first")
    with np.errstate(over="ignore"):  # what is too large becomes infinite and is refused below
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
    """What to say of a line without six columns or without a finite score."""
    columns = line.split()
    if len(columns) != 6:
        return PeftirError(
            f"{path}:{number}: {len(columns)} columns, expected the 6 of '{COLUMNS}'; make the run again"
        )
    return PeftirError(f"{path}:{number}: the score {columns[4]!r} is not a number; make the run again")


def _duplicate(path: Path, query: str) -> PeftirError:
    """What to say of the first line that lists a document of ``query`` again."""
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
