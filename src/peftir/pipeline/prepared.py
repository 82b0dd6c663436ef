"""What a prepared folder was made from: decides which of its parts are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from peftir.ranking.dense import stored_vectors
from peftir.system.files import write_json

FILE = "prepared.json"


class Record:
    """What each part of the folder ``root`` was made from; written after the part, so never ahead of it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            self._content: dict[str, Any] = json.loads((root / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._content = {}

    def read(self, key: str, default: Any) -> Any:
        """What was written under ``key``."""
        return self._content.get(key, default)

    def is_current(self, part: Path, made_from: Any) -> bool:
        """Whether the folder ``part`` is there and was made from this."""
        return (self._root / part).is_dir() and self._content.get(str(part)) == made_from

    def write(self, part: Path | str, made_from: Any) -> None:
        """Note what ``part`` was made from."""
        self._content[str(part)] = made_from
        write_json(self._root / FILE, self._content)


class KnownVectors:
    """The vectors of a dense index by text.

    Args:
        texts: those of the index, in its order.
        index: the folder of the index.
    """

    def __init__(self, texts: Iterable[str] = (), index: Path | None = None) -> None:
        self._rows = {_digest(text): row for row, text in enumerate(texts)}
        self._vectors = stored_vectors(index) if index else np.empty((0, 0), dtype=np.float32)

    def __contains__(self, text: str) -> bool:
        """Whether ``text`` is in the index."""
        return _digest(text) in self._rows

    def __getitem__(self, text: str) -> np.ndarray:
        """The vector of ``text``, ``[d]`` float32."""
        return self._vectors[self._rows[_digest(text)]]


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
