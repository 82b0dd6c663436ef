"""Hashes of a source's files, for the collection's manifest."""

from __future__ import annotations

from pathlib import Path

from peftir.data.sources.files import files_of
from peftir.system.files import fingerprint, sha256_of

# The files that a source may read. The versions of packages are in the lock, and ir_datasets verifies its
# downloads itself.
FILES: dict[str, tuple[str, ...]] = {
    "beir": ("corpus.jsonl*", "queries.jsonl*", "qrels/*.tsv*"),
    "ir_datasets": (),
    "msmarco-doc": ("msmarco-docs.tsv*", "*qrels*", "*queries*"),
    "msmarco-passage": ("collection.tsv*", "*qrels*", "*queries*"),
    "pydocs": (),
    "smart": ("*",),
    "texts": ("**/*",),  # those of them that it reads: peftir.data.sources.files
    "trec": ("documents/**/*", "topics*", "qrels*"),
}


def fingerprint_of(source: str) -> dict[str, str]:
    """SHA-256 of each file that ``source`` (``name:place``) reads, by its path relative to the place."""
    name, _, place = source.partition(":")
    path = Path(place)
    if not FILES[name]:
        return {}
    if name == "texts" and path.is_dir():
        files = files_of(path, report=lambda problem: None)
        return {file.relative_to(path).as_posix(): sha256_of(file) for file in files}
    return fingerprint(path, FILES[name]) if path.is_dir() else fingerprint(path.parent, [path.name])
