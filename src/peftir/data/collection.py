"""A collection on disk: documents, queries and judgements in one format for all sources."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from peftir.system.errors import PeftirError
from peftir.system.files import unusable

Qrels = dict[str, dict[str, int]]  # relevance grade by query id and document id
TextLookup = Callable[[list[str]], list[str]]  # returns the texts of documents by id
SPLITS = ("train", "dev", "test")
CORPUS, QUERIES, MANIFEST = "corpus.parquet", "queries.parquet", "manifest.json"
QRELS_HEADER = "query-id\tcorpus-id\tscore"
FOLD_HEADER = "query-id\tsplit"
AGAIN = "prepare the collection again"


def qrels_file(split: str) -> str:
    """The path of a split's judgements in the collection's folder."""
    return f"qrels/{split}.tsv"


def fold_file(fold: int) -> str:
    """The path of a fold's splits in the collection's folder; folds are numbered from 1."""
    return f"folds/{fold}.tsv"


def full_text(title: str, text: str) -> str:
    """The text of a document that is indexed and encoded: title, space, text."""
    return f"{title} {text}".strip()


class Collection:
    """A collection written by :func:`peftir.data.prepare.prepare`.

    Args:
        folder: the collection's folder.
        fold: the fold of a cross-validation, from 1, whose splits apply. If ``None``, all queries of a
            collection with folds are in ``test``.

    Raises:
        PeftirError: a file is missing or damaged (all methods); the collection lacks the fold.
    """

    def __init__(self, folder: Path, fold: int | None = None) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = _read_manifest(folder / MANIFEST)
        if fold is not None and not 1 <= fold <= self.folds:
            raise PeftirError(
                f"{folder}: has {self.folds or 'no'} folds, and so no fold {fold}; name a seed listed "
                "in params.yaml, or set collection.folds there and run `dvc repro`"
            )
        self._split_of: dict[str, str] | None = None
        if fold is not None:
            self._split_of = _read_fold(folder / fold_file(fold), self.manifest["folds"][fold - 1])

    @property
    def folds(self) -> int:
        """The number of folds; 0 if the queries have fixed splits."""
        return len(self.manifest.get("folds", ()))

    @property
    def own_documents(self) -> bool:
        """Whether a document with a query's id is the query itself and is left out of its ranking."""
        return bool(self.manifest["own_documents"])

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each document's id and :func:`full_text`, in the order of the corpus."""
        for ids, texts in self.text_chunks(1024):
            yield from zip(ids, texts, strict=True)

    def text_chunks(self, size: int) -> Iterator[tuple[list[str], list[str]]]:
        """Yield ids and texts in lists of at most ``size``; memory holds one row group."""
        for batch in _batches(self.folder / CORPUS, ("_id", "title", "text"), size):
            ids, titles, texts = (batch.column(name).to_pylist() for name in ("_id", "title", "text"))
            yield ids, [full_text(title, text) for title, text in zip(titles, texts, strict=True)]

    def count_documents(self) -> int:
        """The number of documents, including empty ones."""
        return int(self.manifest["documents"])

    def rows_of(self, ids: Iterable[str]) -> dict[str, int]:
        """The row in ``corpus.parquet`` of each of ``ids``, from 0; takes one pass over the file.

        Raises:
            PeftirError: a document is not in the collection.
        """
        wanted = set(ids)
        rows: dict[str, int] = {}
        start = 0
        for batch in _batches(self.folder / CORPUS, ("_id",), 4096):
            found = enumerate(batch.column("_id").to_pylist(), start=start)
            rows.update((id, row) for row, id in found if id in wanted)
            start += batch.num_rows
        missing = wanted - rows.keys()
        if missing:
            self._refuse(missing, len(wanted))
        return rows

    def _refuse(self, missing: set[str], wanted: int) -> NoReturn:
        raise PeftirError(
            f"{self.folder / CORPUS}: has no document '{min(missing)}' ({len(missing)} of {wanted} are "
            "missing); what names it was made from another collection: make it again"
        )

    def row_numbers(self, ids: pa.StringArray) -> NDArray[np.int64]:
        """The rows of ``ids`` as an array ``[len(ids)]``; like :meth:`rows_of`, for millions of documents.

        Raises:
            PeftirError: a document is not in the collection.
        """
        batches = _batches(self.folder / CORPUS, ("_id",), 4096)
        rows = pc.index_in(ids, pa.chunked_array([batch.column("_id") for batch in batches], pa.string()))
        if rows.null_count:
            self._refuse(set(ids.filter(pc.is_null(rows)).to_pylist()), len(ids))
        return rows.to_numpy().astype(np.int64)

    def texts_of_rows(self, rows: NDArray[np.int64]) -> Iterator[list[str]]:
        """Yield the :func:`full_text` of the documents in ``rows``, sorted, in lists of at most 1024."""
        start = 0
        for batch in _batches(self.folder / CORPUS, ("title", "text"), 1024):
            first, last = np.searchsorted(rows, (start, start + batch.num_rows))
            if first < last:
                selected = batch.take(pa.array(rows[first:last] - start))
                columns = (selected.column(name).to_pylist() for name in ("title", "text"))
                yield [full_text(title, text) for title, text in zip(*columns, strict=True)]
            start += batch.num_rows

    def texts_of(self, ids: Iterable[str]) -> TextLookup:
        """Load the :func:`full_text` of a few documents into memory and return a function that looks them up.

        Raises:
            PeftirError: a document is not in the collection.
        """
        wanted = sorted(set(ids))
        rows = self.row_numbers(pa.array(wanted, pa.string()))
        order = np.argsort(rows)
        texts = chain.from_iterable(self.texts_of_rows(rows[order]))
        found = {wanted[place]: text for place, text in zip(order, texts, strict=True)}
        return lambda ids: [found[id] for id in ids]

    def queries(self, split: str) -> dict[str, str]:
        """The query texts of a split by id, in the order of the file."""
        _check_split(split)
        return {
            row["_id"]: row["text"]
            for batch in _batches(self.folder / QUERIES, ("_id", "text", "split"), 1024)
            for row in batch.to_pylist()
            if self._split(row["_id"], row["split"]) == split
        }

    def qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The qrels of a split, in the order of the file."""
        _check_split(split)
        stored = split if self._split_of is None else "test"
        path = self.folder / qrels_file(stored)
        grades: dict[str, dict[str, int]] = {}
        for query, document, grade in _judgements(path):
            grades.setdefault(query, {})[document] = grade
        count = sum(map(len, grades.values()))
        expected = self.manifest["splits"][stored]["judgements"]
        if count != expected:
            raise PeftirError(f"{path}: has {count} judgements, the manifest says {expected}; {AGAIN}")
        return {query: docs for query, docs in grades.items() if self._split(query, stored) == split}

    def _split(self, query: str, stored: str) -> str | None:
        """The split of ``query``: that in the fold, if any there, or else ``stored``, that of its file."""
        return stored if self._split_of is None else self._split_of.get(query)


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PeftirError(f"{path}: is missing, {path.parent} is no collection; prepare it first") from None
    except (OSError, ValueError) as error:
        raise unusable(path, error, AGAIN) from None
    return manifest


def _read_fold(path: Path, sizes: dict[str, int]) -> dict[str, str]:
    """The split of every query in a fold; ``sizes`` has the expected number of queries by split."""
    try:
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        if header != FOLD_HEADER:
            raise ValueError(f"expected the header {FOLD_HEADER!r}")
        split_of = dict(line.split("\t") for line in lines)
        if Counter(split_of.values()) != Counter(sizes):
            raise ValueError(f"the manifest says {sizes}, its lines say otherwise")
        return split_of
    except (OSError, ValueError) as error:
        raise unusable(path, error, AGAIN) from None


def _batches(path: Path, columns: Sequence[str], batch_size: int) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=batch_size, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise unusable(path, error, AGAIN) from error


def _judgements(path: Path) -> Iterator[tuple[str, str, int]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            if next(lines, "").rstrip("\n") != QRELS_HEADER:
                raise PeftirError(f"{path}:1: expected the header {QRELS_HEADER!r}; {AGAIN}")
            for number, line in enumerate(lines, start=2):
                try:
                    query, document, grade = line.rstrip("\n").split("\t")
                    yield query, document, int(grade)
                except ValueError:
                    raise PeftirError(f"{path}:{number}: {line[:80]!r} is no judgement; {AGAIN}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(path, error, AGAIN) from None
