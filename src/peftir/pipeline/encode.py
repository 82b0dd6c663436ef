"""Vectors of a whole collection: in memory where they are few, else in shards on disk that outlast a kill.

A shard is a file of the vectors and ids of some thousand documents. It is there whole or not at all, so that
a run that was killed goes on after the last one. Several processes share the shards out among them. The same
documents are encoded together however the work is split, so the vectors do not depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from peftir.data.collection import CORPUS, Collection
from peftir.models import saving
from peftir.models.biencoder import encode
from peftir.models.precision import processor
from peftir.study.identity import identity
from peftir.system.files import remove, replacing, write_json
from peftir.system.processes import spawn_workers

Chunk = tuple[list[str], np.ndarray]  # ids, and a float32 vector for each

CODE = ("data.collection", "models", "pipeline.encode", "tuners")
"""What the vectors follow from, by name."""

CHUNK = 4096  # documents encoded together; long enough for batches of like length
SHARD = 8  # chunks in a file: 100 MB at 768 numbers a vector, and some minutes' work lost to a kill


def encode_collection(
    collection: Collection,
    model: SentenceTransformer,
    model_folder: Path,
    root: Path,
    shards: Path,
    *,
    precision: str,
    processes: int,
    size: int = SHARD,
) -> Iterable[Chunk]:
    """Vectors of all documents in the corpus's order, to be read as often as needed.

    A collection of one shard stays in memory and is encoded by this process alone.

    Args:
        model: the retriever.
        model_folder: where it was loaded from.
        root: the study's folder, for :func:`peftir.models.saving.load` in other processes.
        shards: where shards are kept; those there are taken over if they are of the same model and documents.
            The folder is the caller's to remove.
        processes: how many share the work; on a machine with several GPUs each takes the next one.
        size: chunks of :data:`CHUNK` documents in a shard.

    Raises:
        PeftirError: the collection is damaged, the disk is full or a process was killed.
    """
    if collection.count_documents() <= CHUNK * size:
        return list(_encoded(collection, model, precision))
    _claim(shards, _identity(collection, model_folder, precision, size))
    if processes == 1:
        _write_share(0, 1, collection, model, shards, precision, size)
    else:
        work = (processes, collection.folder, model_folder, root, shards, precision, size)
        spawn_workers(_work, work, processes, "index.processes")
    return Shards(shards)


class Shards:
    """The vectors in a folder of shards; one shard is in memory at a time."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.safetensors"))

    def __iter__(self) -> Iterator[Chunk]:
        """Read the shards from the first on."""
        for file in self._files:
            with safe_open(file, "np") as shard:
                ids = shard.get_tensor("ids").tobytes().decode()
                yield ids.split("\n"), shard.get_tensor("vectors")


def _encoded(collection: Collection, model: SentenceTransformer, precision: str) -> Iterator[Chunk]:
    with _progress(collection.count_documents()) as progress:
        for ids, texts in collection.text_chunks(CHUNK):
            yield ids, encode(model, texts, "document", precision)
            progress.update(len(ids))


def _write_share(
    worker: int,
    processes: int,
    collection: Collection,
    model: SentenceTransformer,
    shards: Path,
    precision: str,
    size: int,
) -> None:
    """Write every ``processes``-th shard from ``worker`` on that is not there yet."""
    numbered = groupby(enumerate(collection.text_chunks(CHUNK)), lambda chunk: chunk[0] // size)
    with _progress(collection.count_documents() // processes, worker) as progress:
        for number, chunks in numbered:
            if number % processes != worker:
                continue
            file = shards / f"{number:06}.safetensors"
            exists = file.is_file()
            ids: list[str] = []
            vectors: list[np.ndarray] = []
            for _, (some, texts) in chunks:
                if not exists:
                    ids += some
                    vectors.append(encode(model, texts, "document", precision))
                progress.update(len(some))
            if not exists:
                with replacing(file) as partial:
                    names = np.frombuffer("\n".join(ids).encode(), dtype=np.uint8)
                    save_file({"ids": names, "vectors": np.concatenate(vectors)}, partial)


def _progress(documents: int, worker: int = 0) -> Any:
    return tqdm(total=documents, desc="encoding", unit="doc", mininterval=5, position=worker)


def _work(
    worker: int,
    processes: int,
    collection: Path,
    model_folder: Path,
    root: Path,
    shards: Path,
    precision: str,
    size: int,
) -> None:
    """What a process does that shares the work: its shards."""
    model = saving.load(SentenceTransformer, model_folder, root)
    _write_share(worker, processes, Collection(collection), model, shards, precision, size)


def _claim(shards: Path, identity: str) -> None:
    """Make ``shards`` a folder of shards of this ``identity``: those of any other in it are removed."""
    note = shards / "identity.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != identity:
        remove(shards)
        write_json(note, identity)


def _identity(collection: Collection, model_folder: Path, precision: str, size: int) -> str:
    """Of what the shards follow from."""
    return identity(
        [collection.manifest["sha256"][CORPUS], precision, size, processor()],
        code=CODE,
        files=sorted(path for path in model_folder.rglob("*") if path.is_file()),
    )
