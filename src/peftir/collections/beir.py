"""The source ``beir:<folder>``: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/{train,dev,test}.tsv``.

The layout of BEIR (Thakur et al. 2021, "BEIR: A Heterogenous Benchmark for Zero-shot Evaluation of
Information Retrieval Models"), in which most public collections can be had. The splits are the folder's own;
where it has training queries but no ``dev.tsv``, a share of them, by a hash of their ids, is held out as dev.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.collections.base import SPLITS, Content, Document, Judgement, Query, qrels_file
from peftir.collections.hashing import point
from peftir.collections.lines import lines_of
from peftir.errors import PeftirError


def read(place: str, documents: int | None, shares: Mapping[str, float]) -> Content:
    """Read a BEIR folder.

    Args:
        place: the folder.
        documents: must be ``None``: a part of the corpus would lack documents that are judged.
        shares: of the training queries, ``dev / (train + dev)`` are held out if the folder has no dev file.

    Raises:
        PeftirError: the folder or a file of every such folder is missing, or ``documents`` is given; later,
            when it is read, a line that is wrong.
    """
    folder = Path(place)
    if not place or not folder.is_dir():
        raise PeftirError(f"collection.source: is 'beir:{place}', no such folder; expected beir:FOLDER")
    if documents is not None:
        raise PeftirError(f"collection.documents: is {documents}; expected null, a BEIR folder is read whole")
    for name in ("corpus.jsonl", "queries.jsonl", qrels_file("test")):
        if not (folder / name).is_file():
            raise PeftirError(f"{folder / name}: is missing; a BEIR folder has it")
    return Content(
        documents=Again(lambda: _documents(folder / "corpus.jsonl")),
        qrels=_qrels(folder, shares),
        queries=_queries(folder / "queries.jsonl"),
        origin={"source": "beir", "folder": folder.resolve().name},
    )


@dataclass(frozen=True)
class Again:
    """An iterable that reads its file anew each time it is iterated over."""

    read: Callable[[], Iterator[Document]]

    def __iter__(self) -> Iterator[Document]:
        """Start reading from the beginning."""
        return self.read()


def _documents(path: Path) -> Iterator[Document]:
    for where, record in _records(path):
        title = "" if record.get("title") is None else _text(record, "title", where)
        yield Document(_text(record, "_id", where), title, _text(record, "text", where), where)


def _queries(path: Path) -> Iterator[Query]:
    for where, record in _records(path):
        yield Query(_text(record, "_id", where), _text(record, "text", where), where)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, line in lines_of(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PeftirError(f"{where}: is not JSON ({error}); expected one object a line") from None
        if not isinstance(record, dict):
            raise PeftirError(f"{where}: is {line[:40]!r}; expected a JSON object")
        yield where, record


def _text(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        found = f"is {json.dumps(value)[:40]}" if key in record else "is missing"
        raise PeftirError(f'{where}: "{key}" {found}; expected text in quotes')
    return value


def _qrels(folder: Path, shares: Mapping[str, float]) -> dict[str, Iterable[Judgement]]:
    files = {split: folder / qrels_file(split) for split in SPLITS if (folder / qrels_file(split)).is_file()}
    qrels: dict[str, Iterable[Judgement]] = {split: _judgements(path) for split, path in files.items()}
    held_out = shares.get("dev", 0.0) / ((shares.get("dev", 0.0) + shares.get("train", 0.0)) or 1.0)
    if "train" in files and "dev" not in files and held_out:

        def is_dev(judgement: Judgement) -> bool:
            return point(f"dev {judgement.query}") < held_out

        qrels["train"] = (row for row in _judgements(files["train"]) if not is_dev(row))
        qrels["dev"] = (row for row in _judgements(files["train"]) if is_dev(row))
    return qrels


def _judgements(path: Path) -> Iterator[Judgement]:
    for number, (where, line) in enumerate(lines_of(path)):
        fields = line.split("\t")
        if len(fields) != 3:
            raise PeftirError(
                f"{where}: has {len(fields)} columns; expected query, document, score, with tabs"
            )
        if number == 0 and fields[2] == "score":
            continue
        try:
            grade = int(fields[2])
        except ValueError:
            raise PeftirError(
                f"{where}: the score is {fields[2]!r}; expected a whole number from 0"
            ) from None
        yield Judgement(fields[0], fields[1], grade, where)
