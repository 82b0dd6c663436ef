"""Encode a collection: vectors of a small one stay in memory, others are written to shards on disk.

A shard is a file with the vectors and ids of some thousand documents, written atomically, so that a killed
run continues after the last shard. Shards are divided among the processes of the group. The batches, and so
the vectors, do not depend on the number of processes.
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
from peftir.models.biencoder import encode
from peftir.models.precision import processor
from peftir.study.identity import identity
from peftir.system.files import remove, replacing, write_json
from peftir.training.distributed import barrier, rank, world_size

Chunk = tuple[list[str], np.ndarray]  # ids, and their vectors ``[n, d]`` float32

CODE = ("data.collection", "models", "pipeline.encode", "training.distributed", "tuners")
"""Modules that affect the vectors."""

CHUNK = 4096  # documents encoded together; enough for batches of similar length
SHARD = 8  # chunks in a file: 100 MB with 768 dimensions, and some minutes of work to repeat after a kill


def encode_collection(
    collection: Collection,
    model: SentenceTransformer,
    model_folder: Path,
    shards: Path,
    *,
    precision: str,
    size: int = SHARD,
) -> Iterable[Chunk]:
    """Encode all documents in the order of the corpus; the result can be iterated over several times.

    A collection of at most one shard is encoded by rank 0 and kept in its memory; other ranks get nothing.

    Args:
        collection: the documents.
        model: the retriever.
        model_folder: from which ``model`` was loaded.
        shards: folder for the shards; existing ones of the same model and documents are reused. The caller
            removes it.
        precision: ``bfloat16`` or ``float32``.
        size: number of chunks of :data:`CHUNK` documents in a shard.

    Raises:
        PeftirError: the collection is damaged or the disk is full.
    """
    if collection.count_documents() <= CHUNK * size:
        return list(_encoded(collection, model, precision)) if rank() == 0 else []
    if rank() == 0:
        _claim(shards, _identity(collection, model_folder, precision, size))
    barrier()
    _write_shards(collection, model, shards, precision, size)
    barrier()
    return Shards(shards)


class Shards:
    """The vectors in a folder of shards; memory holds one shard."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.safetensors"))

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the ids and vectors of each shard."""
        for file in self._files:
            with safe_open(file, "np") as shard:
                ids = shard.get_tensor("ids").tobytes().decode()
                yield ids.split("\n"), shard.get_tensor("vectors")


def _encoded(collection: Collection, model: SentenceTransformer, precision: str) -> Iterator[Chunk]:
    with _progress(collection.count_documents()) as progress:
        for ids, texts in collection.text_chunks(CHUNK):
            yield ids, encode(model, texts, "document", precision)
            progress.update(len(ids))


def _write_shards(
    collection: Collection, model: SentenceTransformer, shards: Path, precision: str, size: int
) -> None:
    """Write this process's shards, which are divided by their number, except existing ones."""
    numbered = groupby(enumerate(collection.text_chunks(CHUNK)), lambda chunk: chunk[0] // size)
    with _progress(collection.count_documents() // world_size()) as progress:
        for number, chunks in numbered:
            if number % world_size() != rank():
                continue
            file = shards / f"{number:06}.safetensors"
            exists = file.is_file()
            ids: list[str] = []
            vectors: list[np.ndarray] = []
            for _, (chunk_ids, texts) in chunks:
                if not exists:
                    ids += chunk_ids
                    vectors.append(encode(model, texts, "document", precision))
                progress.update(len(chunk_ids))
            if not exists:
                with replacing(file) as partial:
                    names = np.frombuffer("\n".join(ids).encode(), dtype=np.uint8)
                    save_file({"ids": names, "vectors": np.concatenate(vectors)}, partial)


def _progress(documents: int) -> Any:
    return tqdm(total=documents, desc="encoding", unit="doc", mininterval=5, disable=rank() > 0)


def _claim(shards: Path, identity: str) -> None:
    """Create the folder ``shards`` for this ``identity``; shards of another identity are removed."""
    file = shards / "identity.json"
    if not file.is_file() or json.loads(file.read_text(encoding="utf-8")) != identity:
        remove(shards)
        write_json(file, identity)


def _identity(collection: Collection, model_folder: Path, precision: str, size: int) -> str:
    """The identity of the inputs, settings and code of the shards."""
    return identity(
        [collection.manifest["sha256"][CORPUS], precision, size, processor()],
        code=CODE,
        files=sorted(path for path in model_folder.rglob("*") if path.is_file()),
    )
