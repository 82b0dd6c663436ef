"""Where documents, queries and judgements come from: a file a source, one form on disk.

A source is a function that takes what stands after the colon in ``collection.source``, how many documents to
take, the share of the queries in each split, and what to tell of each problem; it returns a :class:`Content`.
:data:`SOURCES` lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from peftir.data.collection import SPLITS
from peftir.data.content import Content, Report, refuse
from peftir.data.sources import beir, irdatasets, msmarco, pydocs, smart, texts, trec
from peftir.data.sources.fingerprint import fingerprint_of
from peftir.data.splits import Folds, pool
from peftir.data.writing import write_collection
from peftir.system.errors import PeftirError

Source = Callable[[str, int | None, Mapping[str, float], Report], Content]

SOURCES: dict[str, Source] = {
    "beir": beir.read,
    "ir_datasets": irdatasets.read,
    "msmarco-doc": msmarco.read_documents,
    "msmarco-passage": msmarco.read_passages,
    "pydocs": pydocs.read,
    "smart": smart.read,
    "texts": texts.read,
    "trec": trec.read,
}


def read_source(
    source: str,
    *,
    documents: int | None,
    splits: Mapping[str, float],
    folds: int | None = None,
    report: Report = refuse,
) -> Content:
    """Open a source; most of it is read when the content is.

    Args:
        source: ``name`` or ``name:place`` with a name from :data:`SOURCES`.
        documents: how many documents to take; ``None`` takes all.
        splits: share of the queries in each split, for what the source leaves open of it.
        folds: of a cross-validation, for which all judgements are in ``test``; ``None`` leaves the splits.
        report: what is told of each problem.

    Raises:
        PeftirError: the source is unknown, or its files are not there.
    """
    name, _, place = source.partition(":")
    if name not in SOURCES:
        known = ", ".join(sorted(SOURCES))
        raise PeftirError(f"collection.source: '{source}' is unknown; expected one of {known}")
    content = SOURCES[name](place, documents, splits, report)
    if folds:
        return replace(content, qrels=pool(content.qrels))
    missing = [split for split in SPLITS if split not in content.qrels]
    if missing:
        report(
            f"collection.source: '{source}' has {' and '.join(content.qrels)} queries but none of "
            f"{' and '.join(missing)}; training needs train, dev and test, so set collection.folds: 5 for "
            "cross-validation over all of them, or divide its judgements into files of these (a share of "
            "train is held out as dev if there is none)"
        )
    return content


def prepare(
    source: str,
    folder: Path,
    *,
    documents: int | None,
    splits: Mapping[str, float],
    own_documents: bool = False,
    folds: int | None = None,
) -> dict[str, Any]:
    """Read a source and write it as a collection to ``folder``, whole or not at all.

    Args:
        source: as for :func:`read_source`.
        folder: where the collection goes; what was there is replaced.
        documents: as for :func:`read_source`.
        splits: as for :func:`read_source`.
        own_documents: a document with a query's id is the query itself, as in ArguAna, and left out of its
            rankings; else such ids are equal by chance, as in Cranfield.
        folds: as for :func:`read_source`.

    Returns:
        The manifest: where it came from, counts and hashes.

    Raises:
        PeftirError: the source is unknown or something in it is wrong.
    """
    content = read_source(source, documents=documents, splits=splits, folds=folds)
    files = fingerprint_of(source)
    return write_collection(folder, content, own_documents, Folds.of(folds, splits) if folds else None, files)
