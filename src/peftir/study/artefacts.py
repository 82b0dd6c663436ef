"""Read the artefacts of the stages; errors name the file and its stage in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from peftir.system.errors import PeftirError
from peftir.system.files import unusable

T = TypeVar("T")


class Artefact:
    """A file in the study's folder, and the stage that writes it.

    Raises:
        PeftirError: the file is missing or malformed (all methods that read it).
    """

    def __init__(self, root: Path, path: Path, stage: str) -> None:
        self.path = path
        self.stage = stage
        self._file = root / path

    def json(self) -> Any:
        """Read a JSON file."""
        return self._read(lambda file: json.loads(file.read_text(encoding="utf-8")))

    def curve(self) -> pd.Series:
        """Read a DVCLive curve (a table of ``step`` and one value) as values indexed by step."""

        def read(file: Path) -> pd.Series:
            table = pd.read_csv(file, sep="\t")
            values = table.set_index("step").iloc[:, -1].astype(float)
            if not values.index.is_unique or values.empty:
                raise ValueError("expected every step once, and one at least")
            return values

        return self._read(read)

    def table(self, words: Sequence[str]) -> pd.DataFrame:
        """Read a tab-separated table, with text in the columns ``words`` and numbers in all others."""

        def read(file: Path) -> pd.DataFrame:
            table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
            if missing := [word for word in words if word not in table]:
                raise ValueError(f"expected a column '{missing[0]}'")
            return table.astype({name: float for name in table if name not in words})

        return self._read(read)

    def get(self, content: Any, *keys: str) -> Any:
        """Return ``content[key1][key2]…`` of a JSON file.

        Raises:
            PeftirError: a key is missing.
        """
        value = content
        for depth, key in enumerate(keys, start=1):
            if not isinstance(value, dict) or key not in value:
                raise self.wrong(f"no '{'.'.join(keys[:depth])}'")
            value = value[key]
        return value

    def number(self, content: Any, *keys: str) -> float:
        """Like :meth:`get`, for a number.

        Raises:
            PeftirError: a key is missing, or its value is not a number.
        """
        value = self.get(content, *keys)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"{'.'.join(keys)}: {value!r}: expected a number")
        return value

    def wrong(self, what: str) -> PeftirError:
        """An error for a malformed file; ``what`` is the reason."""
        return PeftirError(f"{self.path}: {what}; run the stage '{self.stage}' again, which writes this file")

    def _read(self, read: Callable[[Path], T]) -> T:
        try:
            return read(self._file)
        except FileNotFoundError as error:
            raise PeftirError(
                f"{self.path}: not found; run the stage '{self.stage}', which writes it"
            ) from error
        except OSError as error:
            raise unusable(self.path, error) from error
        except (ValueError, KeyError, IndexError) as error:
            raise self.wrong(f"not readable: {' '.join(str(error).split())}") from error
