"""Where documents, queries and judgements come from: a file a source, one form on disk.

A source is a function that takes what stands after the colon in ``collection.source``, how many documents to
take and the share of the queries in each split, and returns a :class:`Content`; :data:`SOURCES` lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from peftir.collections import beir, pydocs
from peftir.collections.base import (
    SPLITS,
    Collection,
    Content,
    Document,
    Judgement,
    Query,
    full_text,
)
from peftir.collections.sample import sample_pairs
from peftir.collections.writing import write_collection
from peftir.errors import PeftirError

__all__ = [
    "SOURCES",
    "SPLITS",
    "Collection",
    "Content",
    "Document",
    "Judgement",
    "Query",
    "full_text",
    "prepare",
    "sample_pairs",
    "write_collection",
]

Source = Callable[[str, int | None, Mapping[str, float]], Content]

SOURCES: dict[str, Source] = {
    "beir": beir.read,
    "pydocs": pydocs.read,
}


def prepare(
    source: str, folder: Path, *, documents: int | None, splits: Mapping[str, float]
) -> dict[str, Any]:
    """Read a source and write it as a collection to ``folder``, whole or not at all.

    Args:
        source: ``name`` or ``name:place`` with a name from :data:`SOURCES`.
        folder: where the collection goes; what was there is replaced.
        documents: how many documents to take; ``None`` takes all.
        splits: share of the queries in each split, where the source has no splits of its own.

    Returns:
        The manifest: where it came from, counts and hashes.

    Raises:
        PeftirError: the source is unknown or something in it is wrong.
    """
    name, _, place = source.partition(":")
    if name not in SOURCES:
        known = ", ".join(sorted(SOURCES))
        raise PeftirError(f"collection.source: '{source}' is unknown; expected one of {known}")
    return write_collection(folder, SOURCES[name](place, documents, splits))
