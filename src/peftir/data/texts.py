"""Document texts by id, read from disk as they are needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

from datasets import Dataset, disable_progress_bars

from peftir.data.collection import Collection, full_text

disable_progress_bars()


class DocumentTexts:
    """Title and text of chosen documents of a collection, memory-mapped: only row numbers are held.

    Args:
        collection: the collection that holds the documents.
        ids: the documents that will be asked for.

    Raises:
        PeftirError: one of ``ids`` is not in the collection.
    """

    def __init__(self, collection: Collection, ids: Iterable[str]) -> None:
        self._rows = collection.rows_of(ids)
        # Parquet cannot be read row by row; the memory-mapped copy goes when this object does.
        self._copy = tempfile.TemporaryDirectory(prefix="peftir-")
        self._corpus = Dataset.from_parquet(
            str(collection.folder / "corpus.parquet"), cache_dir=self._copy.name
        )

    def __getstate__(self) -> dict[str, object]:
        """What another process needs to read the same copy, which stays this one's to remove."""
        return {"_rows": self._rows, "_corpus": self._corpus}

    def __call__(self, ids: list[str]) -> list[str]:
        """The texts of ``ids``, in their order."""
        rows = self._corpus[[self._rows[id] for id in ids]]
        return [full_text(title, text) for title, text in zip(rows["title"], rows["text"], strict=True)]
