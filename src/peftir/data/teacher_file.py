"""A teacher's scores from a file: one query id, document id and score a line, as TSV, JSONL or a TREC run.

TSV may begin with the header of judgements, ``query-id``, ``corpus-id`` and ``score``; lines of JSONL are
objects with these keys. Pairs that are not wanted are allowed, if both ids are in the collection.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Iterable
from itertools import accumulate
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from peftir.data.collection import QRELS_HEADER
from peftir.data.ids import short
from peftir.system.errors import PeftirError
from peftir.system.files import unusable

Wanted = dict[str, list[str]]  # the documents of each query
_KEYS = QRELS_HEADER.split("\t")
_REMEDY = "correct the file, or name another under teachers"


def read_teacher_file(
    path: Path, wanted: Wanted, queries: Container[str], documents: Iterable[str]
) -> dict[str, NDArray[np.float64]]:
    """Read the scores of ``wanted`` pairs, in their order; memory holds eight bytes for each of these.

    Args:
        path: ``.tsv``, ``.jsonl``, or anything else for a TREC run.
        wanted: the documents of each query whose scores are needed.
        queries: the ids of all queries of the collection.
        documents: the ids of all its documents.

    Raises:
        PeftirError: the file is missing, a line is malformed or names an unknown id, a score is not finite,
            or a pair is missing or repeated.
    """
    parse = {".tsv": _of_tsv, ".jsonl": _of_json}.get(path.suffix, _of_run)
    found = _unknown(wanted)
    others: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if number == 1 and line.rstrip("\r\n") == QRELS_HEADER:
                    continue
                query, document, score = _parsed(path, number, line, parse)
                if query not in queries:
                    _refuse(path, number, f"the query {short(query)} is not in the collection")
                try:
                    place = wanted.get(query, []).index(document)
                except ValueError:
                    others.setdefault(document, number)
                    continue
                if not np.isnan(found[query][place]):
                    _refuse(path, number, f"query {short(query)} has the document {short(document)} again")
                found[query][place] = score
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(path, error, _REMEDY) from error
    _check_documents(path, others, documents)
    for query, scores in found.items():
        for place in np.flatnonzero(np.isnan(scores)):
            raise _missing(path, query, wanted[query][place])
    return found


def _unknown(wanted: Wanted) -> dict[str, NDArray[np.float64]]:
    """By query, a part of one array that has nan for each of its documents."""
    scores, ends = np.full(sum(map(len, wanted.values())), np.nan), accumulate(map(len, wanted.values()))
    return {query: scores[end - len(wanted[query]) : end] for query, end in zip(wanted, ends, strict=True)}


def _parsed(
    path: Path, number: int, line: str, parse: Callable[[str], tuple[object, object, object]]
) -> tuple[str, str, float]:
    try:
        query, document, score = parse(line)
        value = float(score) if isinstance(score, str | int | float) else math.nan
    except ValueError:
        _refuse(path, number, f"is {short(line.rstrip())}, not {_form(path)}")
    if not isinstance(query, str) or not isinstance(document, str):
        _refuse(path, number, f"has ids that are not text; expected {_form(path)}")
    if not math.isfinite(value):
        _refuse(path, number, f"the score of document {short(document)} is {score}; expected a finite number")
    return query, document, value


def _of_tsv(line: str) -> tuple[object, object, object]:
    query, document, score = line.rstrip("\r\n").split("\t")
    return query, document, score


def _of_json(line: str) -> tuple[object, object, object]:
    content = json.loads(line)
    if not isinstance(content, dict) or not content.keys() >= {*_KEYS}:
        raise ValueError(line)
    query, document, score = (content[key] for key in _KEYS)
    return query, document, score


def _of_run(line: str) -> tuple[object, object, object]:
    query, _, document, _, score, _ = line.split()
    return query, document, score


def _form(path: Path) -> str:
    return {
        ".tsv": "a query id, a document id and a score with tabs between",
        ".jsonl": f"a JSON object with the keys {', '.join(_KEYS)}",
    }.get(path.suffix, "a line of a TREC run: query Q0 document rank score tag")


def _check_documents(path: Path, others: dict[str, int], documents: Iterable[str]) -> None:
    """Refuse the first of ``others``, documents with their lines, that is not among ``documents``."""
    if others:
        for document in documents:
            others.pop(document, None)
    for document, number in others.items():
        _refuse(path, number, f"the document {short(document)} is not in the collection")


def _missing(path: Path, query: str, document: str) -> PeftirError:
    return PeftirError(
        f"{path}: has no score of the document {short(document)} for the query {short(query)}; expected "
        "all candidates and relevant documents of the train queries: add it, or lower teachers.NAME.depth"
    )


def _refuse(path: Path, number: int, reason: str) -> NoReturn:
    raise PeftirError(f"{path}:{number}: {reason}; {_REMEDY}")
