"""Test sets: further test queries, of the study's own corpus or of another, prepared as a collection each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Query, Report, refuse
from peftir.data.prepare import open_source
from peftir.data.sources.fingerprint import fingerprint_of
from peftir.data.writing import write_collection
from peftir.system.errors import PeftirError

ALL_IN_TEST = {"train": 0.0, "dev": 0.0, "test": 1.0}
"""The splits of a source that has none: all of its judged queries are test queries."""
NAMED = 3  # documents or queries in an error


def prepare_test_set(
    name: str, source: str, folder: Path, *, own_documents: bool, collection: Collection, own_corpus: bool
) -> dict[str, Any]:
    """Write the test queries of ``source`` as a collection without train and dev to ``folder``.

    Args:
        name: of the test set, for errors.
        source: as for :func:`peftir.data.prepare.read_source`.
        folder: where the collection goes; what was there is replaced.
        own_documents: as for :func:`peftir.data.prepare.prepare`.
        collection: the study's own.
        own_corpus: whether the documents are those of the source. Otherwise they are those of ``collection``,
            and are not written.

    Returns:
        The manifest: where it came from, counts and hashes.

    Raises:
        PeftirError: the source is unknown or something in it is wrong, it has no judged test query, one of
            its test queries is a train or dev query of ``collection``, or one of its judged documents is not
            among the documents.
    """
    with errors_named_after(name):
        content = open_test_set(source)
        content = replace(content, queries=_new_queries(content, source, collection))
        if not own_corpus:
            _check_judged(content, source, collection)
            content = replace(content, documents=(Document(id, "", text) for id, text in collection.texts()))
        files = fingerprint_of(source)
        return write_collection(folder, content, own_documents, files=files, corpus=own_corpus)


def open_test_set(source: str, report: Report = refuse) -> Content:
    """The content of a source with the judgements of the split ``test`` alone.

    Args:
        source: as for :func:`peftir.data.prepare.read_source`, and so is ``report``.

    Raises:
        PeftirError: the source is unknown, or its files are missing.
    """
    content = open_source(source, None, ALL_IN_TEST, report)
    judgements = content.qrels.get("test", ())
    if next(iter(judgements), None) is not None:
        return replace(content, qrels={"test": judgements})
    report(f"collection.source: '{source}' has no judged test query; expected a source with some")
    return replace(content, qrels={})


def _new_queries(content: Content, source: str, collection: Collection) -> Iterator[Query]:
    """Yield the queries of ``content``, and refuse those that models of ``collection`` are trained with.

    So are those that they are chosen by and, in a cross-validation, the queries of all folds.
    """
    judged = {judgement.query for judgement in content.qrels["test"]}
    splits = ("train", "dev", "test") if collection.folds else ("train", "dev")
    used = {id: text for s in splits for id, text in collection.queries(s).items() if id in judged}
    known = []
    for query in content.queries:
        if used.get(query.id) == query.text:
            known.append(query.id)
        yield query
    if known:
        raise PeftirError(
            f"collection.source: '{source}' has {len(known):,} of {len(judged):,} test queries that are "
            f"train or dev queries of {collection.folder}: {_first_of(known)}; expected other queries"
        )


def _first_of(ids: list[str]) -> str:
    return ", ".join(f"'{id:.80}'" for id in ids[:NAMED]) + (", …" if len(ids) > NAMED else "")


def _check_judged(content: Content, source: str, corpus: Collection) -> None:
    unknown = dict.fromkeys(judgement.document for judgement in content.qrels["test"])
    judged = len(unknown)
    for id, _ in corpus.texts():
        unknown.pop(id, None)
    if unknown:
        raise PeftirError(
            f"collection.source: '{source}' judges {len(unknown):,} of {judged:,} documents that are not in "
            f"{corpus.folder}: {_first_of([*unknown])}; expected documents of the collection, or corpus: own"
        )


@contextmanager
def errors_named_after(test: str) -> Iterator[None]:
    """Errors about the keys of the collection become errors about those of the test set ``test``."""
    try:
        yield
    except PeftirError as error:
        raise PeftirError(named_after(test, str(error))) from error


def named_after(test: str, text: str) -> str:
    """``text`` about a source with the keys of a test set: sources name those of the collection."""
    for key in ("source", "own_documents"):
        text = text.replace(f"collection.{key}", f"tests.{test}.{key}")
    return text
