"""Document texts by id, read from disk on demand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, disable_progress_bars

from peftir.data.collection import CORPUS, Collection, full_text
from peftir.system.files import replacing

disable_progress_bars()

SOURCE_KEY = b"sha256 of corpus.parquet"  # in the copy's metadata


class DocumentTexts:
    """Memory-mapped title and text of selected documents; memory holds only their row numbers.

    Parquet has no random access to rows, so an Arrow copy beside the collection's folder is used. It is
    created on first use, shared by all processes, and replaced if it is of another corpus.

    Args:
        collection: the collection with the documents.
        ids: the documents to look up later.

    Raises:
        PeftirError: one of ``ids`` is not in the collection, its corpus is damaged, or the disk is full.
    """

    def __init__(self, collection: Collection, ids: Iterable[str]) -> None:
        self._rows = collection.rows_of(ids)
        self._corpus = _mapped(collection)

    def __call__(self, ids: list[str]) -> list[str]:
        """The texts of ``ids``, in their order."""
        rows = self._corpus[[self._rows[id] for id in ids]]
        return [full_text(title, text) for title, text in zip(rows["title"], rows["text"], strict=True)]


def copy_of(collection: Collection) -> Path:
    """The path of the Arrow copy of a collection's corpus."""
    return collection.folder.with_name(f"{collection.folder.name}.texts.arrow")


def _mapped(collection: Collection) -> Dataset:
    path, corpus = copy_of(collection), collection.manifest["sha256"][CORPUS].encode()
    if not _is_copy_of(path, corpus):
        _write(collection.folder / CORPUS, path, corpus)
    return Dataset.from_file(str(path))


def _is_copy_of(path: Path, corpus: bytes) -> bool:
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return (stream.schema.metadata or {}).get(SOURCE_KEY) == corpus
    except (FileNotFoundError, pa.ArrowInvalid):
        return False


def _write(parquet: Path, path: Path, corpus: bytes) -> None:
    """Copy a corpus in batches; processes that have mapped an older copy keep it."""
    columns = ["title", "text"]
    schema = pa.schema([(column, pa.string()) for column in columns], metadata={SOURCE_KEY: corpus})
    with (
        pq.ParquetFile(parquet) as file,
        replacing(path) as partial,
        pa.ipc.new_stream(partial, schema) as stream,
    ):
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            stream.write_batch(batch.cast(schema))
