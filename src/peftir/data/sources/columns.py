"""Readers of tab-separated texts, and of qrels in the formats of BEIR and TREC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from peftir.data.content import Judgement, Report
from peftir.data.sources.lines import lines_of


def rows_of(path: Path, columns: tuple[str, ...], report: Report) -> Iterator[tuple[str, list[str]]]:
    """Yield ``(place, fields)`` for the lines of a tab-separated file without a header.

    Lines with another number of fields than ``columns``, the columns' names, are reported.
    """
    for where, line in lines_of(path, report):
        fields = line.split("\t")
        if len(fields) == len(columns):
            yield where, fields
        else:
            report(
                f"{where}: has {len(fields)} columns; expected {', '.join(columns)}, with a tab between two "
                "and none within one"
            )


def beir_judgements(path: Path, report: Report) -> Iterator[Judgement]:
    """Yield judgements from BEIR qrels: query, document, score, tab-separated, with or without a header."""
    for number, (where, fields) in enumerate(rows_of(path, ("query", "document", "score"), report)):
        if number == 0 and fields[2] == "score":
            continue
        grade = _grade(fields[2], where, report)
        if grade is not None:
            yield Judgement(fields[0], fields[1], grade, where)


def trec_judgements(path: Path, report: Report) -> Iterator[Judgement]:
    """Yield judgements from TREC qrels: query, iteration, document and grade, separated by whitespace."""
    for where, line in lines_of(path, report):
        fields = line.split()
        if len(fields) != 4:
            report(f"{where}: has {len(fields)} columns; expected query, iteration, document, grade")
            continue
        grade = _grade(fields[3], where, report)
        if grade is not None:
            yield Judgement(fields[0], fields[2], grade, where)


def _grade(text: str, where: str, report: Report) -> int | None:
    if re.fullmatch("-?[0-9]{1,18}", text):
        return int(text)
    report(f"{where}: the score is {text!r:.40}; expected a whole number from 0")
    return None
