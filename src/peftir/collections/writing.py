"""Writes a collection: streams what a source gives to disk, and checks all of it on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peftir.collections.base import (
    CORPUS,
    MANIFEST,
    QRELS_HEADER,
    QUERIES,
    SPLITS,
    Content,
    Document,
    Judgement,
    Query,
    full_text,
    qrels_file,
)
from peftir.collections.ids import KnownIds
from peftir.collections.table import TextTable
from peftir.errors import PeftirError
from peftir.files import replacing


def write_collection(folder: Path, content: Content) -> dict[str, Any]:
    """Write ``content`` as a collection to ``folder``, whole or not at all, and return its manifest.

    The same content gives the same bytes. Beyond the row group that is being written, memory holds eight
    bytes per document, the ids of the queries and one split's judgements.

    Empty documents stay, so that judgements of them stay valid; the manifest counts them, and BM25 never
    finds them. Queries that no split judges are left out and counted, since measures average over judged
    queries. A judged query without a relevant document stays and is counted: it scores 0, as in trec_eval.

    Raises:
        PeftirError: an id is empty, has whitespace or comes twice; a judged query has no text or is judged in
            two splits; a grade is not a whole number from 0; a judgement names an unknown document or query
            or comes twice; there are no documents; a split that the source names has no judgements; a text is
            not Unicode; or the disk is full.
    """
    with replacing(folder) as partial:
        (partial / "qrels").mkdir(parents=True)
        ids, empty = _write_documents(partial / CORPUS, content.documents)
        judged: dict[str, tuple[str, str]] = {}  # query: its split, and where it is first judged
        splits = {
            split: _write_qrels(partial / qrels_file(split), split, content.qrels.get(split), ids, judged)
            for split in SPLITS
        }
        without_judgement = _write_queries(partial / QUERIES, content.queries, judged)
        manifest = {
            "origin": dict(content.origin),
            "documents": len(ids),
            "empty_documents": empty,
            "splits": splits,
            "queries_without_judgement": without_judgement,
            "sha256": {name: _sha256(partial / name) for name in (CORPUS, QUERIES, *map(qrels_file, SPLITS))},
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (partial / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
    return manifest


def _write_documents(path: Path, documents: Iterable[Document]) -> tuple[KnownIds, int]:
    """Write the corpus; return its ids and how many documents are empty."""
    ids = KnownIds()
    empty = 0
    with TextTable(path, ("_id", "title", "text")) as table:
        for number, (id, title, text, where) in enumerate(documents, start=1):
            _check_id(id, where or f"document {number}")
            table.add((id, title, text), where or f"document '{id}'")
            ids.add(id)
            empty += not full_text(title, text)
    if not len(ids):
        raise PeftirError("the source has no documents; expected some")
    if ids.may_repeat():
        _refuse_repeated(documents)
    return ids, empty


def _refuse_repeated(documents: Iterable[Document]) -> None:
    first: dict[str, str] = {}
    for number, document in enumerate(documents, start=1):
        where = document.where or f"document {number}"
        if document.id in first:
            raise PeftirError(f"{where}: has the id '{document.id}' of {first[document.id]}; ids must differ")
        first[document.id] = where


def _write_qrels(
    path: Path,
    split: str,
    judgements: Iterable[Judgement] | None,
    documents: KnownIds,
    judged: dict[str, tuple[str, str]],
) -> dict[str, int]:
    """Write a split's judgements, add its queries to ``judged`` and return its counts."""
    relevant: dict[str, bool] = {}
    pairs: set[tuple[str, str]] = set()
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(QRELS_HEADER + "\n")
        for number, (query, document, grade, where) in enumerate(judgements or (), start=1):
            where = where or f"{split} judgement {number}"
            if not isinstance(grade, int) or grade < 0:
                raise PeftirError(f"{where}: the grade is {grade!r}; expected a whole number from 0")
            if document not in documents:
                raise PeftirError(f"{where}: judges document '{document}', which is not in the corpus")
            if (query, document) in pairs:
                raise PeftirError(f"{where}: judges document '{document}' for query '{query}' a second time")
            other, _ = judged.setdefault(query, (split, where))
            if other != split:
                raise PeftirError(f"{where}: query '{query}' is judged in {other} too; expected one split")
            pairs.add((query, document))
            relevant[query] = relevant.get(query, False) or grade > 0
            file.write(f"{query}\t{document}\t{grade}\n")
    if judgements is not None and not pairs:
        raise PeftirError(f"{split}: has no judgements; expected some, take more documents or leave it out")
    without_relevant = sum(not some for some in relevant.values())
    return {"queries": len(relevant), "judgements": len(pairs), "queries_without_relevant": without_relevant}


def _write_queries(path: Path, queries: Iterable[Query], judged: Mapping[str, tuple[str, str]]) -> int:
    """Write the judged queries; return how many others there are."""
    seen: set[str] = set()
    with TextTable(path, ("_id", "text", "split")) as table:
        for number, (id, text, where) in enumerate(queries, start=1):
            _check_id(id, where or f"query {number}")
            where = where or f"query '{id}'"
            if id in seen:
                raise PeftirError(f"{where}: the id '{id}' comes a second time; ids must differ")
            seen.add(id)
            if id not in judged:
                continue
            if not text.strip():
                raise PeftirError(f"{where}: the query '{id}' is judged but has no text; expected some")
            table.add((id, text, judged[id][0]), where)
    for id, (_, where) in judged.items():
        if id not in seen:
            raise PeftirError(f"{where}: judges query '{id}', which is not among the queries")
    return len(seen) - len(judged)


def _check_id(id: str, where: str) -> None:
    if id.split() != [id]:
        raise PeftirError(f"{where}: the id is {id!r}; expected one word, as run files separate by spaces")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
