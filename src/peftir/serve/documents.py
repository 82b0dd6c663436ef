"""The documents of a collection by id, whichever they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset

from peftir.data.collection import CORPUS, Collection, full_text
from peftir.data.texts import DocumentTexts, copy_of


class Documents:
    """Titles and texts, read from disk as they are needed; in memory are the ids alone.

    Raises:
        PeftirError: the collection is damaged, or the disk is full.
    """

    def __init__(self, collection: Collection) -> None:
        DocumentTexts(collection, ())  # makes the copy that can be read row by row
        self._rows = Dataset.from_file(str(copy_of(collection)))
        self._ids = pq.read_table(collection.folder / CORPUS, columns=["_id"])["_id"]

    def __call__(self, ids: list[str]) -> list[str]:
        """What the models read of each of ``ids``, in their order."""
        return [full_text(title, text) for title, text in self.read(ids)]

    def read(self, ids: list[str]) -> Iterator[tuple[str, str]]:
        """Title and text of each of ``ids``, in their order."""
        asked = pa.array(dict.fromkeys(ids), self._ids.type)
        found = pc.index_in(self._ids, value_set=asked).combine_chunks()
        rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        row_of = dict(zip(asked.take(found.take(pa.array(rows))).to_pylist(), rows.tolist(), strict=True))
        content = self._rows[[row_of[id] for id in ids]]
        yield from zip(content["title"], content["text"], strict=True)
