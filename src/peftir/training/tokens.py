"""The tokens of all training texts, tokenized once before the first step, in a memory-mapped file.

The table has no special tokens; losses add them to single texts or pairs (:mod:`peftir.models.templates`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from peftir.models.templates import bare_tokens, whole_sizes
from peftir.system.files import remove, replacing
from peftir.training.data import TrainingData
from peftir.training.examples import Example

SCHEMA = pa.schema([("tokens", pa.list_(pa.int32())), ("size", pa.int32())])
CHUNK = 1024  # texts tokenized at a time


@dataclass(frozen=True)
class Reading:
    """The prefix of one kind of texts, and the maximum number of tokens that a model reads of each."""

    prefix: str
    tokens: int


@dataclass(frozen=True)
class TokenizedTexts:
    """The first tokens of each text, up to the maximum, and the number of tokens of each whole text.

    ``sizes`` count only the tokens kept if a model reads texts alone or if no query is too long.
    """

    tokens: list[list[int]]
    sizes: list[int]


class Reader(Protocol):
    """The loss of a stage's batches, in one process of its training, which reads tokens."""

    tokenizer: Any
    query: Reading
    document: Reading
    in_pairs: bool
    """Whether a query and a document are read as a pair, and truncated together."""

    def reads(self, batch: list[Example]) -> tuple[list[str], list[int]]:
        """The queries and the documents in this process's shard of ``batch``."""


class TokenTable:
    """The tokens of queries by id and of documents by number."""

    def __init__(self, rows: Dataset, queries: dict[str, int], documents: NDArray[np.int32]) -> None:
        self._rows, self._queries, self._documents = rows, queries, documents

    def queries(self, ids: Iterable[str]) -> TokenizedTexts:
        """The tokens of queries, in their order."""
        return self._read([self._queries[id] for id in ids])

    def documents(self, numbers: Iterable[int]) -> TokenizedTexts:
        """The tokens of documents, in their order."""
        return self._read([int(self._documents[number]) for number in numbers])

    def _read(self, rows: list[int]) -> TokenizedTexts:
        found = self._rows[rows]
        return TokenizedTexts(found["tokens"], found["size"])


@contextmanager
def tokenized(
    data: TrainingData, batches: Iterable[list[Example]], reader: Reader, file: Path
) -> Iterator[TokenTable]:
    """Yield the tokens of each distinct text of ``batches`` that ``reader`` reads, stored in ``file``.

    Raises:
        PeftirError: a document is not in the collection, or the disk is full.
    """
    queries, documents = _read_in(data, batches, reader)
    with replacing(file) as partial, pa.OSFile(str(partial), "wb") as sink:
        rows = _write(sink, data, queries, documents, reader)
    try:
        yield TokenTable(Dataset.from_file(str(file)), *rows)
    finally:
        remove(file)


def tokenized_in_memory(data: TrainingData, batches: Iterable[list[Example]], reader: Reader) -> TokenTable:
    """Like :func:`tokenized`, in memory, for a few batches."""
    sink = pa.BufferOutputStream()
    rows = _write(sink, data, *_read_in(data, batches, reader), reader)
    return TokenTable(Dataset.from_buffer(sink.getvalue()), *rows)


def _read_in(
    data: TrainingData, batches: Iterable[list[Example]], reader: Reader
) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct queries and documents of ``batches`` that ``reader`` reads."""
    distinct: dict[str, None] = {}
    read = np.zeros(len(data.sampler.documents), dtype=bool)
    for batch in batches:
        queries, documents = reader.reads(batch)
        distinct.update(dict.fromkeys(queries))
        read[documents] = True
    return [*distinct], np.flatnonzero(read)


def _write(
    sink: Any, data: TrainingData, queries: list[str], documents: NDArray[np.int64], reader: Reader
) -> tuple[dict[str, int], NDArray[np.int32]]:
    """Write queries, then documents in corpus order; return the rows of both, by id and by number."""
    corpus = data.collection.row_numbers(data.sampler.documents.take(pa.array(documents)))
    order = np.argsort(corpus)
    rows = np.full(len(data.sampler.documents), -1, dtype=np.int32)
    rows[documents[order]] = len(queries) + np.arange(len(documents))
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        too_long = False
        for start in range(0, len(queries), CHUNK):
            texts = [reader.query.prefix + data.queries[id] for id in queries[start : start + CHUNK]]
            tokens = _tokenize(reader.tokenizer, texts, reader.query.tokens, whole=reader.in_pairs)
            too_long |= any(size >= reader.query.tokens for size in tokens.sizes)
            writer.write_batch(_batch(tokens))
        # Truncation of a pair depends on which text is longer only if neither fits.
        whole = reader.in_pairs and too_long
        for texts in data.collection.texts_of_rows(corpus[order]):
            texts = [reader.document.prefix + text for text in texts]
            tokens = _tokenize(reader.tokenizer, texts, reader.document.tokens, whole=whole)
            writer.write_batch(_batch(tokens))
    return {id: row for row, id in enumerate(queries)}, rows


def _tokenize(tokenizer: Any, texts: list[str], count: int, whole: bool) -> TokenizedTexts:
    """Tokenize ``texts`` to at most ``count`` tokens; with ``whole``, sizes count the tokens cut off too."""
    tokens = bare_tokens(tokenizer, texts, count)
    sizes = [len(ids) for ids in tokens]
    full = [index for index, size in enumerate(sizes) if whole and size >= count]
    for index, size in zip(full, whole_sizes(tokenizer, [texts[index] for index in full]), strict=True):
        sizes[index] = size
    return TokenizedTexts(tokens, sizes)


def _batch(texts: TokenizedTexts) -> pa.RecordBatch:
    columns = zip((texts.tokens, texts.sizes), SCHEMA.types, strict=True)
    return pa.record_batch([pa.array(values, type) for values, type in columns], schema=SCHEMA)
