"""The sources ``msmarco-passage:<folder>`` and ``msmarco-doc:<folder>``: MS MARCO's own tab-separated files.

Documents are in ``collection.tsv`` (id, passage) or ``msmarco-docs.tsv`` (id, url, title, body); the url is
not used. A split consists of a qrels file and a queries file, with the names in :data:`PASSAGE` and
:data:`DOCUMENT`: those of https://microsoft.github.io/msmarco and of TREC's deep learning tracks (Bajaj et
al. 2016, "MS MARCO"; Craswell et al. 2020, "Overview of the TREC 2019 deep learning track"). Any file may be
gzipped. Without a test set, dev is the test set: see :func:`peftir.data.splits.complete`.

Triples and top documents (:data:`NOT_READ`) are not read: negatives and candidates are from the study's own
BM25 run, as for every source. MS MARCO's lists lack the BM25 scores, which interpolation needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from peftir.data.content import Again, Content, Document, Query, Report, refuse
from peftir.data.sources.columns import rows_of, trec_judgements
from peftir.data.sources.folders import find, find_or_refuse, folder_of
from peftir.data.splits import complete
from peftir.system.errors import PeftirError

# Qrels and queries files of each split; of several pairs, the first whose qrels exist is used.
Names = dict[str, tuple[tuple[str, str], ...]]
PASSAGE: Names = {
    "train": (("qrels.train.tsv", "queries.train.tsv"),),
    "dev": (("qrels.dev.small.tsv", "queries.dev.small.tsv"), ("qrels.dev.tsv", "queries.dev.tsv")),
    "test": (
        ("qrels.test.tsv", "queries.test.tsv"),
        ("2019qrels-pass.txt", "msmarco-test2019-queries.tsv"),
        ("2020qrels-pass.txt", "msmarco-test2020-queries.tsv"),
    ),
}
DOCUMENT: Names = {
    "train": (
        ("msmarco-doctrain-qrels.tsv", "msmarco-doctrain-queries.tsv"),
        ("qrels.train.tsv", "queries.train.tsv"),
    ),
    "dev": (
        ("msmarco-docdev-qrels.tsv", "msmarco-docdev-queries.tsv"),
        ("qrels.dev.tsv", "queries.dev.tsv"),
    ),
    "test": (
        ("qrels.test.tsv", "queries.test.tsv"),
        ("2019qrels-docs.txt", "msmarco-test2019-queries.tsv"),
        ("2020qrels-docs.txt", "msmarco-test2020-queries.tsv"),
    ),
}

NOT_READ = ("qidpidtriples.*", "triples.*", "top1000.*", "*-top100*")


def read_passages(
    place: str, documents: int | None, shares: Mapping[str, float], report: Report = refuse
) -> Content:
    """Read a folder of MS MARCO passages; arguments and errors as :func:`peftir.data.sources.beir.read`."""
    folder = folder_of("msmarco-passage", place, documents)
    path = find_or_refuse(folder, "a folder of MS MARCO passages", "collection.tsv")
    return _content("msmarco-passage", folder, partial(_passages, path, report), PASSAGE, shares, report)


def read_documents(
    place: str, documents: int | None, shares: Mapping[str, float], report: Report = refuse
) -> Content:
    """Read a folder of MS MARCO documents; arguments and errors as :func:`peftir.data.sources.beir.read`."""
    folder = folder_of("msmarco-doc", place, documents)
    path = find_or_refuse(folder, "a folder of MS MARCO documents", "msmarco-docs.tsv")
    return _content("msmarco-doc", folder, partial(_documents, path, report), DOCUMENT, shares, report)


def _content(
    source: str,
    folder: Path,
    documents: Callable[[], Iterator[Document]],
    names: Names,
    shares: Mapping[str, float],
    report: Report,
) -> Content:
    found = {split: pair for split in names if (pair := _pair(folder, names[split]))}
    if not found:
        known = ", ".join(qrels for pairs in names.values() for qrels, _ in pairs)
        raise PeftirError(f"{folder}: has no judgements; expected one or more of {known}")
    return Content(
        documents=Again(documents),
        qrels=complete(
            {split: Again(partial(trec_judgements, qrels, report)) for split, (qrels, _) in found.items()},
            shares,
        ),
        queries=_queries([queries for _, queries in found.values()], report),
        origin={
            "source": source,
            "folder": folder.resolve().name,
            "not_read": sorted(path.name for pattern in NOT_READ for path in folder.glob(pattern)),
        },
    )


def _pair(folder: Path, names: tuple[tuple[str, str], ...]) -> tuple[Path, Path] | None:
    """The qrels and queries files of a split; ``None`` if ``folder`` has no qrels of it."""
    for qrels, queries in names:
        path = find(folder, qrels)
        if path is not None:
            return path, find_or_refuse(folder, f"a folder with {path.name}", queries)
    return None


def _passages(path: Path, report: Report) -> Iterator[Document]:
    for where, (id, text) in rows_of(path, ("id", "passage"), report):
        yield Document(id, "", text, where)


def _documents(path: Path, report: Report) -> Iterator[Document]:
    for where, (id, _, title, body) in rows_of(path, ("id", "url", "title", "body"), report):
        yield Document(id, title, body, where)


def _queries(paths: list[Path], report: Report) -> Iterator[Query]:
    for path in paths:
        for where, (id, text) in rows_of(path, ("id", "query"), report):
            yield Query(id, text, where)
