"""A teacher's scores from a file: one query id, document id and score a line, as TSV, JSONL or a TREC run.

TSV may begin with the header of judgements, ``query-id``, ``corpus-id`` and ``score``; lines of JSONL are
objects with these keys. Pairs that are not wanted are skipped, also those of ids that the collection, which
may be a sample of a larger one, does not have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from peftir.data.collection import QRELS_HEADER, Qrels
from peftir.data.ids import short
from peftir.system.errors import PeftirError
from peftir.system.files import unusable

Wanted = dict[str, list[str]]  # the documents of each query
_KEYS = QRELS_HEADER.split("\t")
_REMEDY = "correct the file, or name another under teachers"


def read_teacher_file(path: Path, wanted: Wanted, qrels: Qrels, depth: str) -> dict[str, NDArray[np.float64]]:
    """Read the scores of ``wanted`` pairs, in their order; memory holds eight bytes for each of these.

    Args:
        path: ``.tsv``, ``.jsonl``, or anything else for a TREC run.
        wanted: the documents of each query whose scores are needed.
        qrels: the judgements; relevant documents are wanted whatever the depth.
        depth: the key of the number of other documents that are wanted, for errors.

    Raises:
        PeftirError: the file is missing, a line is malformed, a score is not finite, or a pair is missing or
            repeated.
    """
    parse = {".tsv": _of_tsv, ".jsonl": _of_json}.get(path.suffix, _of_run)
    found = _unknown(wanted)
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if number == 1 and line.rstrip("\r\n") == QRELS_HEADER:
                    continue
                query, document, score = _parsed(path, number, line, parse)
                try:
                    place = wanted.get(query, []).index(document)
                except ValueError:
                    continue
                if not np.isnan(found[query][place]):
                    _refuse(path, number, f"query {short(query)} has the document {short(document)} again")
                found[query][place] = score
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(path, error, _REMEDY) from error
    for query, scores in found.items():
        for place in map(int, np.flatnonzero(np.isnan(scores))):
            document = wanted[query][place]
            raise _missing(path, query, document, qrels.get(query, {}).get(document, 0) > 0, depth)
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


def _missing(path: Path, query: str, document: str, relevant: bool, depth: str) -> PeftirError:
    expected = (
        "which is judged relevant; expected those of all relevant documents: add it"
        if relevant
        else f"a candidate; expected those of all candidates: add it, or lower {depth}"
    )
    return PeftirError(
        f"{path}: has no score of the document {short(document)} for the query {short(query)}, {expected}"
    )


def _refuse(path: Path, number: int, reason: str) -> NoReturn:
    raise PeftirError(f"{path}:{number}: {reason}; {_REMEDY}")
