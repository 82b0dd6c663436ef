"""The source ``ir_datasets:<id>``: any collection in the catalogue of the package ir_datasets.

MacAvaney et al. 2021, "Simplified Data Wrangling with ir_datasets"; the ids are on https://ir-datasets.com.
The splits are the datasets below the id, as in ``beir/nfcorpus/train`` of ``beir/nfcorpus``, completed by
:func:`peftir.data.splits.complete`; an id without any is divided by ``collection.splits``. The package
downloads the files once and keeps them in ``~/.ir_datasets``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from peftir.data.content import Again, Content, Document, Judgement, Query, Report, refuse
from peftir.data.sources.folders import refuse_a_part
from peftir.data.splits import complete, divide
from peftir.system.errors import PeftirError, reason_of

# Names of a split below an id; the first that exists is used.
NAMES = {"train": ("train",), "dev": ("dev/small", "dev", "validation"), "test": ("test",)}


def read(place: str, documents: int | None, shares: Mapping[str, float], report: Report = refuse) -> Content:
    """Read a dataset of ir_datasets.

    Args:
        place: its id.
        documents: must be ``None``: a part of the corpus would lack judged documents.
        shares: see :mod:`peftir.data.splits`.
        report: called if the package cannot read or download a part, when it is read.

    Raises:
        PeftirError: the id is unknown or has no documents or no judgements, or ``documents`` is given.
    """
    refuse_a_part("ir_datasets", documents)
    dataset = _load(place)
    if dataset is None:
        raise PeftirError(
            f"collection.source: is 'ir_datasets:{place}', no id of ir_datasets; "
            "expected one of https://ir-datasets.com"
        )
    if not dataset.has_docs():
        raise PeftirError(
            f"collection.source: 'ir_datasets:{place}' has no documents; expected an id that has"
        )
    found = {split: part for split, names in NAMES.items() if (part := _part(place, names))}
    if not found and not (dataset.has_qrels() and dataset.has_queries()):
        raise PeftirError(
            f"collection.source: 'ir_datasets:{place}' has no queries with judgements, neither itself nor "
            "under train, dev or test; expected an id that has"
        )
    qrels = {split: Again(partial(_judgements, place, part, report)) for split, part in found.items()}
    return Content(
        documents=Again(partial(_documents, place, dataset, report)),
        qrels=complete(qrels, shares)
        if found
        else divide(Again(partial(_judgements, place, dataset, report)), shares),
        queries=_queries(place, list(found.values()) or [dataset], report),
        origin={"source": "ir_datasets", "id": place},
    )


def _load(id: str) -> Any:
    try:
        import ir_datasets  # takes a second, only for this source
    except OSError as error:  # it creates its folder on import
        place = os.environ.get("IR_DATASETS_HOME", "~/.ir_datasets")
        raise PeftirError(
            f"{place}: `ir_datasets` cannot keep its downloads there ({reason_of(error)}); set "
            "IR_DATASETS_HOME to a folder that can be written to"
        ) from error
    try:
        return ir_datasets.load(id)
    except KeyError:
        return None


def _part(place: str, names: tuple[str, ...]) -> Any:
    parts = (_load(f"{place}/{name}") for name in names)
    return next((part for part in parts if part and part.has_qrels() and part.has_queries()), None)


def _documents(place: str, dataset: Any, report: Report) -> Iterator[Document]:
    for row in _rows(place, "documents", dataset.docs_iter, report):
        title = getattr(row, "title", None) or ""
        text = next((getattr(row, name) for name in ("text", "body") if hasattr(row, name)), None)
        if text is None:
            title, text = "", row.default_text()
        yield Document(row.doc_id, title, text, f"ir_datasets:{place} document {row.doc_id!r}")


def _queries(place: str, datasets: list[Any], report: Report) -> Iterator[Query]:
    seen: set[str] = set()  # the splits of some datasets share their queries
    for dataset in datasets:
        for row in _rows(place, "queries", dataset.queries_iter, report):
            if row.query_id not in seen:
                seen.add(row.query_id)
                yield Query(row.query_id, row.default_text(), f"ir_datasets:{place} query {row.query_id!r}")


def _judgements(place: str, dataset: Any, report: Report) -> Iterator[Judgement]:
    for row in _rows(place, "judgements", dataset.qrels_iter, report):
        where = f"ir_datasets:{place} judgement of query {row.query_id!r}"
        yield Judgement(row.query_id, row.doc_id, row.relevance, where)


def _rows(place: str, what: str, iterate: Callable[[], Iterator[Any]], report: Report) -> Iterator[Any]:
    try:
        yield from iterate()
    except Exception as error:  # the package and its downloads raise many types
        reason = " ".join(str(error).split())[:200]
        report(
            f"ir_datasets:{place}: its {what} could not be had ({type(error).__name__}: {reason}); offline, "
            "put them where `ir_datasets` keeps its downloads (~/.ir_datasets)"
        )
