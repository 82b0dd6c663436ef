"""Readers of JSON lines files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peftir.data.content import Document, Query, Report
from peftir.data.sources.lines import lines_of


def documents_of(path: Path, report: Report) -> Iterator[Document]:
    """Yield documents from objects with the keys ``_id``, ``text`` and, optionally, ``title``."""
    for where, record in _records(path, report):
        id, text = _text(record, "_id", where, report), _text(record, "text", where, report)
        title = "" if record.get("title") is None else _text(record, "title", where, report)
        if id is not None and text is not None and title is not None:
            yield Document(id, title, text, where)


def queries_of(path: Path, report: Report) -> Iterator[Query]:
    """Yield queries from objects with the keys ``_id`` and ``text``."""
    for where, record in _records(path, report):
        id, text = _text(record, "_id", where, report), _text(record, "text", where, report)
        if id is not None and text is not None:
            yield Query(id, text, where)


def _records(path: Path, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, line in lines_of(path, report):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            report(f"{where}: is not JSON ({error}); expected one object a line")
            continue
        if isinstance(record, dict):
            yield where, record
        else:
            report(f"{where}: is {line[:40]!r}; expected a JSON object")


def _text(record: dict[str, Any], key: str, where: str, report: Report) -> str | None:
    value = record.get(key)
    if isinstance(value, str):
        return value
    found = f"is {json.dumps(value)[:40]}" if key in record else "is missing"
    report(f'{where}: "{key}" {found}; expected text in quotes')
    return None
