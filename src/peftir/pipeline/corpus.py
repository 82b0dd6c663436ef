"""Whose documents a test set's queries rank."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import CORPUS, Collection
from peftir.study import layout


def corpus_of(root: Path, test: str) -> str | None:
    """The test set ``test`` if it has documents of its own; ``None`` if its queries rank the collection's."""
    manifest = Collection(root / layout.of(test, layout.COLLECTION)).manifest
    return test if CORPUS in manifest["sha256"] else None
