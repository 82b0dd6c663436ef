"""Parquet files of text columns, byte-identical for the same rows."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 4096
BYTES_PER_GROUP = 16 * 2**20


class TextTable:
    """Write rows of text to a Parquet file; memory holds one row group, of 4096 rows or 16 MiB."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._schema = pa.schema([(column, pa.string()) for column in columns])
        # Codec and level are set, so that the file does not depend on pyarrow's defaults.
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            write_statistics=False,
            store_schema=False,
        )
        self._rows: list[tuple[str, ...]] = []
        self._bytes = 0

    def add(self, row: tuple[str, ...]) -> None:
        """Add a row of texts in valid Unicode."""
        self._bytes += sum(len(text.encode()) for text in row)
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [pa.array(column, pa.string()) for column in zip(*self._rows, strict=True)]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows, self._bytes = [], 0

    def __enter__(self) -> Self:
        """Return the table itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the remaining rows, unless the block failed, and close the file."""
        if error is None:
            self._flush()
        self._writer.close()
