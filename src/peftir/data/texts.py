"""Document texts by id, read from disk as they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, disable_progress_bars

from peftir.data.collection import CORPUS, Collection, full_text
from peftir.system.files import replacing

disable_progress_bars()

OF = b"sha256 of corpus.parquet"  # in the copy's metadata


class DocumentTexts:
    """Title and text of chosen documents of a collection, memory-mapped: only row numbers are held.

    Parquet cannot be read row by row. Beside the collection's folder lies a copy that can, which the first to
    need it makes: it is one file for all processes, and that of another corpus gives way to it.

    Args:
        collection: the collection that holds the documents.
        ids: the documents that will be asked for.

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
    """Where the copy of a collection's corpus lies."""
    return collection.folder.with_name(f"{collection.folder.name}.texts.arrow")


def _mapped(collection: Collection) -> Dataset:
    path, corpus = copy_of(collection), collection.manifest["sha256"][CORPUS].encode()
    if not _is_of(path, corpus):
        _write(collection.folder / CORPUS, path, corpus)
    return Dataset.from_file(str(path))


def _is_of(path: Path, corpus: bytes) -> bool:
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return (stream.schema.metadata or {}).get(OF) == corpus
    except (FileNotFoundError, pa.ArrowInvalid):
        return False


def _write(parquet: Path, path: Path, corpus: bytes) -> None:
    """Copy a corpus a row group at a time; what other processes have mapped of an older copy stays theirs."""
    columns = ["title", "text"]
    schema = pa.schema([(column, pa.string()) for column in columns], metadata={OF: corpus})
    with (
        pq.ParquetFile(parquet) as file,
        replacing(path) as partial,
        pa.ipc.new_stream(partial, schema) as stream,
    ):
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            stream.write_batch(batch.cast(schema))
