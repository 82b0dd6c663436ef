"""What a result follows from, in one hash: whether unfinished work may go on, or has to begin again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
LIBRARIES = ("numpy", "peft", "sentence-transformers", "tokenizers", "torch", "transformers")


def identity(facts: Any, *, code: Sequence[str], files: Iterable[Path]) -> str:
    """A hash of all that a result follows from.

    Args:
        facts: settings and the like, as JSON takes them.
        code: packages and modules of peftir by name, such as ``models`` or ``ranking.runs``.
        files: the inputs, by content.
    """
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in [*files, *sources(code)]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()


def sources(code: Sequence[str]) -> Iterator[Path]:
    """The files of packages and modules of peftir by name, in order."""
    for name in sorted(code):
        path = PACKAGE.joinpath(*name.split("."))
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
