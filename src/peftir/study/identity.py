"""A hash of all inputs of a result, which decides whether unfinished work can be resumed."""

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
    """Return a SHA-256 hash of all inputs of a result, including the versions of ``LIBRARIES``.

    Args:
        facts: settings and other JSON-serializable values.
        code: names of packages and modules of peftir, such as ``models`` or ``ranking.runs``.
        files: input files, which are hashed by content.
    """
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in [*files, *sources(code)]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()


def sources(code: Sequence[str]) -> Iterator[Path]:
    """Yield the source files of packages and modules of peftir, in sorted order."""
    for name in sorted(code):
        path = PACKAGE.joinpath(*name.split("."))
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
