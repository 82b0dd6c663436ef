"""Sets of ids in eight bytes per id, for the validation of millions of documents."""

from __future__ import annotations

import hashlib
import unicodedata
from array import array

import numpy as np

MOST_BYTES = 32_766  # of an id: the maximum of a Lucene term


def problem(id: str) -> str | None:
    """The problem with an id and what was expected; ``None`` if the id is valid.

    Columns of run files are separated by spaces, trec_eval ends a word at a NUL, and files are UTF-8.
    """
    if id.split() != [id]:
        return f"the id is {short(id)}; expected one word, as run files separate by spaces"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in id):
        return f"the id is {short(id)}; expected no control character and no half of a surrogate pair"
    if len(id.encode()) > MOST_BYTES:
        return f"the id is {short(id)} and {len(id.encode()):,} bytes long; expected {MOST_BYTES:,} at most"
    return None


def short(id: str) -> str:
    """An id in quotes, with unprintable characters escaped, truncated if very long."""
    return repr(id) if len(id) <= 80 else f"{id[:80]!r}…"


class KnownIds:
    """A multiset of ids as 64-bit hashes; of 10^12 unknown ids, one collides with 10 million known ids."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._in_order = np.empty(0, dtype=np.uint64)

    def add(self, id: str) -> None:
        """Add an id; repeated additions are counted."""
        self._hashes.append(_hash(id))

    def __len__(self) -> int:
        """The number of additions."""
        return len(self._hashes)

    def __contains__(self, id: str) -> bool:
        """Whether the id was added."""
        hashes = self._sorted()
        place = int(np.searchsorted(hashes, np.uint64(_hash(id))))
        return place < len(hashes) and int(hashes[place]) == _hash(id)

    def count(self, id: str) -> int:
        """The number of times the id was added."""
        hashes, value = self._sorted(), np.uint64(_hash(id))
        return int(np.searchsorted(hashes, value, "right") - np.searchsorted(hashes, value, "left"))

    def repeats(self) -> int:
        """The number of additions that repeat an earlier one; 0 is exact."""
        hashes = self._sorted()
        return int((hashes[1:] == hashes[:-1]).sum())

    def _sorted(self) -> np.ndarray:
        if len(self._in_order) != len(self._hashes):
            self._in_order = np.sort(np.array(self._hashes, dtype=np.uint64))
        return self._in_order


def _hash(id: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(id.encode(errors="surrogatepass"), digest_size=8).digest(), "little"
    )
