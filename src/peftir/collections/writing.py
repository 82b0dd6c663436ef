"""Writes a collection: streams what a source gives to disk, checked on the way."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from peftir.collections.base import CORPUS, MANIFEST, QRELS_HEADER, QUERIES, SPLITS, qrels_file
from peftir.collections.content import Content
from peftir.collections.table import TextTable
from peftir.collections.validation import Validation
from peftir.files import replacing


def write_collection(folder: Path, content: Content, own_documents: bool = False) -> dict[str, Any]:
    """Write ``content`` as a collection to ``folder``, whole or not at all, and return its manifest.

    The same content gives the same bytes. Beyond what :class:`~peftir.collections.validation.Validation`
    holds, memory holds the row group that is being written.

    Empty documents stay, so that judgements of them stay valid; the manifest counts them, and BM25 never
    finds them. Queries that no split judges are left out and counted, since measures average over judged
    queries. A judged query without a relevant document stays and is counted: it scores 0, as in trec_eval.

    Raises:
        PeftirError: something is wrong with the content, or the disk is full.
    """
    checked = Validation(content, own_documents)
    with replacing(folder) as partial:
        (partial / "qrels").mkdir(parents=True)
        with TextTable(partial / CORPUS, ("_id", "title", "text")) as table:
            for document in tqdm(checked.documents(), desc="documents", unit="", mininterval=5, leave=False):
                table.add((document.id, document.title, document.text))
        for split in SPLITS:
            with (partial / qrels_file(split)).open("w", encoding="utf-8", newline="\n") as file:
                file.write(QRELS_HEADER + "\n")
                for query, judged, grade, _ in checked.judgements(split):
                    file.write(f"{query}\t{judged}\t{grade}\n")
        with TextTable(partial / QUERIES, ("_id", "text", "split")) as table:
            for asked, split in checked.queries():
                table.add((asked.id, asked.text, split))
        manifest = {
            "origin": dict(content.origin),
            "own_documents": own_documents,
            **checked.counts(),
            "sha256": {name: _sha256(partial / name) for name in (CORPUS, QUERIES, *map(qrels_file, SPLITS))},
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (partial / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
