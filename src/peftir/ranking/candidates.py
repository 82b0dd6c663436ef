"""Candidates of many queries in four bytes each, or eight with scores, from which negatives are sampled.

A run of MS MARCO's train queries has about 50 million lines, which take ten gigabytes as Python objects
(:func:`read_run`).
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from peftir.ranking.runs import COLUMNS, Run, read_run

BLOCK = 16 * 2**20  # bytes of a file parsed at a time


@dataclass(frozen=True)
class Candidates:
    """The top documents of each query, as indices into a list of all their ids.

    Attributes:
        documents: the distinct document ids, in the order of their first occurrence in the run.
        numbers: indices into ``documents``, query after query, best first.
        spans: each query's slice of ``numbers``.
        scores: the score of each of ``numbers``; empty if they were read without scores.
    """

    documents: pa.StringArray
    numbers: NDArray[np.int32]
    spans: dict[str, slice]
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def of(self, query: str) -> NDArray[np.int32]:
        """The indices of a query's documents, best first; empty if the run lacks the query."""
        return self.numbers[self.spans.get(query, slice(0, 0))]

    def scores_of(self, query: str) -> NDArray[np.float32]:
        """The scores of a query's documents, in the order of :meth:`of`."""
        return self.scores[self.spans.get(query, slice(0, 0))]

    @classmethod
    def of_run(cls, run: Run, depth: int | None, scored: bool = False) -> Candidates:
        """The top ``depth`` documents of each query of ``run``, or all of them."""
        tops = [hits[:depth] for hits in run.values()]
        encoded = pa.array([document for hits in tops for document, _ in hits], pa.string())
        scores = np.array([score for hits in tops for _, score in hits if scored], np.float32)
        return cls._of_chunks([*run], [*map(len, tops)], [encoded.dictionary_encode()], scores)

    @classmethod
    def _of_chunks(
        cls,
        queries: list[str],
        counts: list[int],
        chunks: list[pa.DictionaryArray],
        scores: NDArray[np.float32],
    ) -> Candidates:
        ends = np.cumsum(counts, dtype=np.int64).tolist()
        spans = {
            query: slice(end - count, end) for query, count, end in zip(queries, counts, ends, strict=True)
        }
        if not ends or not ends[-1]:
            return cls(pa.array([], pa.string()), np.zeros(0, np.int32), spans)
        unified = pa.chunked_array(chunks).unify_dictionaries()
        numbers = np.concatenate([chunk.indices.to_numpy() for chunk in unified.chunks])
        return cls(unified.chunk(0).dictionary, numbers, spans, scores)


def read_candidates(
    path: Path, queries: Container[str], depth: int | None, scored: bool = False
) -> Candidates:
    """Read the top ``depth`` documents of each of ``queries`` from a run, in the order of :func:`read_run`.

    With ``None`` for ``depth`` all documents are read, and with ``scored`` their scores, too.

    A file in the format of :func:`peftir.ranking.runs.write_run` is read block by block; any other is read by
    :func:`read_run`.

    Raises:
        PeftirError: see :func:`read_run`.
    """
    kept_queries: list[str] = []
    counts: list[int] = []
    chunks: list[pa.DictionaryArray] = []
    scores: list[NDArray[np.float32]] = [np.zeros(0, np.float32)]
    seen: set[str] = set()
    try:
        for ids, starts, block in _blocks(path):
            if seen.intersection(ids) or not _is_well_formed(starts, block):
                return Candidates.of_run(read_run(path, queries), depth, scored)
            seen.update(ids)
            sizes = np.diff(starts, append=block.num_rows)
            wanted = np.array([query in queries for query in ids])
            ranks = np.arange(block.num_rows) - np.repeat(starts, sizes)
            limit = block.num_rows if depth is None else depth
            kept = np.repeat(wanted, sizes) & (ranks < limit)
            kept_queries += [query for query in ids if query in queries]
            counts += np.minimum(sizes, limit)[wanted].tolist()
            chunks.append(block["document"].filter(pa.array(kept)).combine_chunks().dictionary_encode())
            if scored:
                scores.append(block["score"].to_numpy()[kept].astype(np.float32))
    except (pa.ArrowInvalid, OSError):
        return Candidates.of_run(
            read_run(path, queries), depth, scored
        )  # which reports the problem and its line
    return Candidates._of_chunks(kept_queries, counts, chunks, np.concatenate(scores))


def _blocks(path: Path) -> Iterator[tuple[list[str], NDArray[np.int64], pa.Table]]:
    """Yield blocks of complete queries: their ids, the row at which each starts, and the lines."""
    reader = csv.open_csv(
        path,
        csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=COLUMNS.split()),
        csv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
        csv.ConvertOptions(
            include_columns=["query", "document", "score"],
            column_types={"query": pa.string(), "document": pa.string(), "score": pa.float64()},
            null_values=[],
        ),
    )
    rest = reader.schema.empty_table()
    for batch in reader:
        block = pa.concat_tables([rest, pa.Table.from_batches([batch])]).combine_chunks()
        if starts := _starts(block):
            rest = block.slice(starts[-1])
            if len(starts) > 1:
                yield _whole(block.slice(0, starts[-1]), starts[:-1])
    if rest.num_rows:
        yield _whole(rest, [0])


def _starts(block: pa.Table) -> list[int]:
    """The rows at which a query starts, including the first row."""
    if not block.num_rows:
        return []
    query = block["query"].combine_chunks()
    changes = pc.not_equal(query[1:], query[:-1]).to_numpy(zero_copy_only=False)
    return [0, *(np.flatnonzero(changes) + 1).tolist()]


def _whole(block: pa.Table, starts: list[int]) -> tuple[list[str], NDArray[np.int64], pa.Table]:
    return block["query"].take(pa.array(starts)).to_pylist(), np.array(starts, np.int64), block


def _is_well_formed(starts: NDArray[np.int64], block: pa.Table) -> bool:
    """Whether each query's scores are finite and strictly descending, and its documents unique."""
    scores = block["score"].to_numpy()
    descending = np.diff(scores) < 0
    descending[starts[1:] - 1] = True  # from one query to the next
    codes = block["document"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    query = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(scores)))
    pairs = query * len(scores) + codes
    return bool(np.isfinite(scores).all() and descending.all() and len(np.unique(pairs)) == len(pairs))
