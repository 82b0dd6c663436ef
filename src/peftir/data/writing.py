"""Write a collection: validate the content of a source and stream it to disk."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from peftir.data.collection import (
    CORPUS,
    FOLD_HEADER,
    MANIFEST,
    QRELS_HEADER,
    QUERIES,
    SPLITS,
    fold_file,
    qrels_file,
)
from peftir.data.content import Content
from peftir.data.splits import Folds, HeldOut, sizes
from peftir.data.table import TextTable
from peftir.data.validation import Validation
from peftir.system.files import replacing


def write_collection(
    folder: Path,
    content: Content,
    own_documents: bool = False,
    folds: Folds | None = None,
    files: Mapping[str, str] | None = None,
    corpus: bool = True,
) -> dict[str, Any]:
    """Write ``content`` as a collection to ``folder``, whole or not at all, and return its manifest.

    Files are byte-identical for the same content. Memory holds one row group, and what
    :class:`~peftir.data.validation.Validation` holds.

    The manifest counts these: empty documents, which are kept so that their judgements stay valid, but never
    retrieved by BM25; queries without judgements, which are left out, since measures average over judged
    queries; and judged queries without a relevant document, which are kept and score 0, as in trec_eval.

    With ``folds``, all queries are in ``test``, and one file per fold has their splits.

    Args:
        folder: of the collection; it is replaced if it exists.
        content: the content of a source.
        own_documents: see :func:`peftir.data.prepare.prepare`.
        folds: of a cross-validation.
        files: SHA-256 of the source's files, for the manifest.
        corpus: whether to write the documents. If not, they are only validated and counted, since another
            collection has them.

    Raises:
        PeftirError: the content is invalid, or the disk is full.
    """
    checked = Validation(content, own_documents)
    with replacing(folder) as partial:
        (partial / "qrels").mkdir(parents=True)
        documents = tqdm(checked.documents(), desc="documents", unit="", mininterval=5, leave=False)
        if corpus:
            with TextTable(partial / CORPUS, ("_id", "title", "text")) as table:
                for document in documents:
                    table.add((document.id, document.title, document.text))
        else:
            deque(documents, maxlen=0)
        for split in SPLITS:
            with (partial / qrels_file(split)).open("w", encoding="utf-8", newline="\n") as file:
                file.write(QRELS_HEADER + "\n")
                for query, judged, grade, _ in checked.judgements(split):
                    file.write(f"{query}\t{judged}\t{grade}\n")
        with TextTable(partial / QUERIES, ("_id", "text", "split")) as table:
            for query_record, split in checked.queries():
                table.add((query_record.id, query_record.text, split))
        splits = checked.folds(folds) if folds else []
        for fold, split_of in enumerate(splits, start=1):
            _write_fold(partial / fold_file(fold), split_of)
        folded = [fold_file(fold) for fold in range(1, len(splits) + 1)]
        names = (*([CORPUS] if corpus else []), QUERIES, *map(qrels_file, SPLITS), *folded)
        manifest = {
            "origin": dict(content.origin),
            **({"files": dict(files)} if files else {}),
            "own_documents": own_documents,
            **checked.counts(),
            **({"dev_held_out": True} if isinstance(content.qrels.get("dev"), HeldOut) else {}),
            **({"folds": [sizes(split_of) for split_of in splits]} if folds else {}),
            "sha256": {name: _sha256(partial / name) for name in names},
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        # A folder's name need not be UTF-8; other bytes are written as JSON escapes.
        (partial / MANIFEST).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return manifest


def _write_fold(path: Path, split_of: dict[str, str]) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = (f"{query}\t{split}\n" for query, split in split_of.items())
    path.write_text("".join([f"{FOLD_HEADER}\n", *lines]), encoding="utf-8", newline="\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
