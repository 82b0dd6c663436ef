"""Read a source of documents, queries and judgements, and write it as a collection.

A source is a function in :data:`SOURCES`. Its arguments are the text after the colon in
``collection.source``, the number of documents, the share of queries by split, and the function that reports
problems; it returns a :class:`Content`.
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
from peftir.data.splits import Folds, pool, sampled
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


def open_source(
    source: str, documents: int | None, splits: Mapping[str, float], report: Report = refuse
) -> Content:
    """As :func:`read_source`, with whatever splits the source has.

    Raises:
        PeftirError: the source is unknown, or its files are not there.
    """
    name, _, place = source.partition(":")
    if name not in SOURCES:
        known = ", ".join(sorted(SOURCES))
        raise PeftirError(f"collection.source: '{source}' is unknown; expected one of {known}")
    return SOURCES[name](place, documents, splits, report)


def read_source(
    source: str,
    *,
    documents: int | None,
    splits: Mapping[str, float],
    folds: int | None = None,
    report: Report = refuse,
) -> Content:
    """Open a source; most of it is read when the content is iterated over.

    Args:
        source: ``name`` or ``name:place`` with a name from :data:`SOURCES`.
        documents: number of documents to take; ``None`` for all.
        splits: share of the queries by split, for splits that the source does not define.
        folds: number of folds of a cross-validation, which puts all judgements into ``test``; ``None`` keeps
            the splits.
        report: called with each problem.

    Raises:
        PeftirError: the source is unknown, or its files are missing.
    """
    content = open_source(source, documents, splits, report)
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
    train_share: float = 1,
    own_documents: bool = False,
    folds: int | None = None,
) -> dict[str, Any]:
    """Read a source and write it as a collection to ``folder``, whole or not at all.

    Args:
        source: as for :func:`read_source`.
        folder: of the collection; it is replaced if it exists.
        documents: as for :func:`read_source`.
        splits: as for :func:`read_source`.
        train_share: the share of the train queries to take, see :func:`peftir.data.splits.sampled`; the
            others count as queries without a judgement.
        own_documents: whether a document with a query's id is the query itself and left out of its ranking,
            as in ArguAna; otherwise such ids are equal by chance, as in Cranfield.
        folds: as for :func:`read_source`.

    Returns:
        The manifest: origin, counts and hashes.

    Raises:
        PeftirError: the source is unknown or invalid, or ``train_share`` leaves no train query.
    """
    content = read_source(source, documents=documents, splits=splits, folds=folds)
    if train_share < 1:
        content = _with_train_share(content, train_share)
    files = fingerprint_of(source)
    divided = Folds.of(folds, splits, train_share) if folds else None
    return write_collection(folder, content, own_documents, divided, files)


def _with_train_share(content: Content, share: float) -> Content:
    """``content`` with a sample of its train queries; without a train split, as with folds, with all."""
    qrels = dict(content.qrels)
    if "train" in qrels:
        qrels["train"] = sampled(qrels["train"], share)
        if next(iter(qrels["train"]), None) is None:
            raise PeftirError(
                f"collection.train_share: {share:g}: no train query is left; expected a larger share"
            )
    return replace(content, qrels=qrels, origin={**content.origin, "train_share": share})
