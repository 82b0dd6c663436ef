"""Whose documents a test set's queries rank."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import CORPUS, Collection
from peftir.study import layout
from peftir.system.files import locked, remove


def corpus_of(root: Path, test: str) -> str | None:
    """The test set ``test`` if it has documents of its own; ``None`` if its queries rank the collection's."""
    manifest = Collection(root / layout.of(test, layout.COLLECTION)).manifest
    return test if CORPUS in manifest["sha256"] else None


def remove_shared_index(root: Path, test: str) -> None:
    """Remove the index that retrievers share for the test set ``test``, if they share one."""
    store = root / layout.of(test, layout.SHARED_INDEX)
    if store.is_dir():
        with locked(store / "lock"):
            for index in store.glob("*/"):
                remove(index)
