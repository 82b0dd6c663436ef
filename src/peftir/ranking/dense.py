"""The dense index: a faiss index by factory string, with the inner product as metric."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np

from peftir.ranking.runs import Hits
from peftir.system.errors import PeftirError
from peftir.system.files import replacing, unusable


@contextmanager
def _threads_at_most(most: int | None) -> Iterator[None]:
    """Limit the number of faiss's threads inside the block.

    It is restored afterwards, since torch may share faiss's OpenMP runtime.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads if most is None else min(most, threads))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def build_index(
    chunks: Iterable[tuple[list[str], np.ndarray]], factory: str, folder: Path, *, count: int, sample: int
) -> int:
    """Build an index of the vectors and write it with the document ids to ``folder``.

    faiss uses all threads of the process, but only one for graphs (``HNSW…``, ``NSG…``), whose builds are not
    deterministic with several.

    Args:
        chunks: (ids, vectors ``[n, d]`` float32); iterated over twice if the index needs training.
        factory: faiss's index factory string, for example ``Flat``.
        count: number of documents.
        sample: number of documents, evenly spaced, to train the index on if it needs training (``IVF…``,
            ``PQ…``).

    Returns:
        The number of documents in the index.

    Raises:
        PeftirError: the factory string is invalid, or there are too few vectors for training.
    """
    index = None
    with replacing(folder) as partial:
        partial.mkdir()
        with (partial / "ids.txt").open("w", encoding="utf-8") as ids_file:
            for ids, vectors in chunks:
                with _threads_at_most(1 if "HNSW" in factory or "NSG" in factory else None):
                    index = index or _trained(factory, vectors.shape[1], chunks, count, sample)
                    index.add(vectors)
                ids_file.writelines(f"{id}\n" for id in ids)
        if index is None:
            raise PeftirError(f"{folder}: no documents to index")
        faiss.write_index(index, str(partial / "index.faiss"))
    return index.ntotal


def stored_vectors(folder: Path) -> np.ndarray:
    """The vectors of a ``Flat`` index that :func:`build_index` wrote, ``[n, d]`` float32."""
    index = faiss.read_index(str(folder / "index.faiss"))
    return index.reconstruct_n(0, index.ntotal)


def new_index(factory: str, dimension: int) -> faiss.Index:
    """Create an empty index of ``dimension``-dimensional vectors; it may need training before use.

    Raises:
        PeftirError: the factory string is invalid or does not fit the dimension.
    """
    try:
        return faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise PeftirError(
            f"index.factory: {factory!r}: not an index that faiss can make of vectors of {dimension} numbers "
            f"({_reason(error)}); expected one such as 'Flat', 'HNSW32' or 'IVF256,PQ16'"
        ) from error


def set_parameters(index: faiss.Index, parameters: str) -> None:
    """Set faiss's search parameters of an index, as described in :class:`DenseIndex`.

    Raises:
        PeftirError: the index has no such parameter.
    """
    try:
        faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]
    except RuntimeError as error:
        raise PeftirError(
            f"retrieval.search_parameters: {parameters!r}: not for this index ({_reason(error)}); "
            "expected '' or faiss's names with values, such as 'nprobe=16' for an IVF index"
        ) from error


def _trained(
    factory: str, dimension: int, chunks: Iterable[tuple[list[str], np.ndarray]], count: int, sample: int
) -> faiss.Index:
    index = new_index(factory, dimension)
    if index.is_trained:
        return index
    vectors = _sample(chunks, count, sample)
    try:
        index.train(vectors)
    except RuntimeError as error:
        raise PeftirError(
            f"index.factory: {factory!r}: faiss cannot train it on {len(vectors)} of {count} documents "
            f"({_reason(error)}); 'Flat' and 'HNSW32' need no training, fewer cells or a larger "
            f"index.train_sample (now {sample}) less or more of it"
        ) from error
    return index


def _sample(chunks: Iterable[tuple[list[str], np.ndarray]], count: int, size: int) -> np.ndarray:
    """At most ``size`` of the ``count`` vectors, evenly spaced: ``[size, d]``."""
    rows = np.linspace(0, count - 1, min(size, count), dtype=np.int64)
    parts, start = [], 0
    for ids, vectors in chunks:
        parts.append(vectors[rows[(rows >= start) & (rows < start + len(ids))] - start])
        start += len(ids)
    return np.concatenate(parts)


def _reason(error: RuntimeError) -> str:
    """faiss's error message without the place in its source."""
    return str(error).splitlines()[0].split("Error: ")[-1]


class DenseIndex:
    """A memory-mapped index for searching; a ``Flat`` index may be larger than memory.

    Args:
        folder: written by :func:`build_index`.
        parameters: faiss's search parameters, separated by commas, such as ``nprobe=16`` (number of cells of
            an ``IVF…`` index to visit, 1 by default) or ``efSearch=128`` (of an ``HNSW…`` index).

    Raises:
        PeftirError: a file is missing or damaged, or the index lacks a parameter.
    """

    def __init__(self, folder: Path, parameters: str = "") -> None:
        remedy = f"make it again: `dvc repro --force --single-item index@{folder.name}`"
        try:
            self._index = faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_MMAP_IFC)
            self._ids = _Lines(folder / "ids.txt")
        except (RuntimeError, OSError, ValueError) as error:
            raise unusable(folder, error, remedy) from error
        if len(self._ids) != self._index.ntotal:
            raise PeftirError(
                f"{folder}/ids.txt: {len(self._ids)} ids for {self._index.ntotal} vectors; {remedy}"
            )
        set_parameters(self._index, parameters)

    def search(self, queries: list[str], vectors: np.ndarray, depth: int) -> Iterator[tuple[str, Hits]]:
        """Yield the ``depth`` top hits of each query, in the order of ``queries``.

        Args:
            queries: ids of the queries.
            vectors: their vectors, ``[len(queries), d]`` float32.
        """
        # With more threads than queries, faiss divides the documents, which changes the order of ties.
        with _threads_at_most(max(len(queries), 1)):
            scores, rows = self._index.search(vectors, min(depth, self._index.ntotal))
        ids = {row: self._ids[row] for row in np.unique(rows).tolist() if row >= 0}
        for query, found, values in zip(queries, rows, scores, strict=True):
            # faiss pads with -1 if an approximate index finds too few.
            yield (
                query,
                [
                    (ids[row], score)
                    for row, score in zip(found.tolist(), values.tolist(), strict=True)
                    if row >= 0
                ],
            )


class _Lines:
    """The lines of a memory-mapped file; memory holds 8 bytes per line.

    Raises:
        OSError, ValueError: the file is missing or empty.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._ends = np.flatnonzero(np.frombuffer(self._bytes, dtype=np.uint8) == ord("\n"))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, line: int) -> str:
        start = int(self._ends[line - 1]) + 1 if line else 0
        return self._bytes[start : int(self._ends[line])].decode()
