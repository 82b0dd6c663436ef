"""The dense index: faiss, made by a factory string, over inner products of unit vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np

from peftir.errors import PeftirError
from peftir.files import replacing
from peftir.runs import Run


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let faiss use one thread, for the same result each time.

    torch brings an OpenMP runtime of its own, but the call to set the number of threads reaches both: left
    at one, torch would encode on one thread too.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def build_index(chunks: Iterator[tuple[list[str], np.ndarray]], factory: str, folder: Path) -> int:
    """Add vectors to a new index as they come and write it with its documents' ids to ``folder``.

    An index that must be trained first (``IVF…``, ``PQ…``) is trained on the first chunk.

    Args:
        chunks: (ids, vectors ``[n, d]`` float32).
        factory: faiss's index factory string, for example ``Flat``.

    Returns:
        How many documents the index holds.

    Raises:
        PeftirError: faiss does not know the factory string, or cannot train on so few vectors.
    """
    index = None
    with replacing(folder) as partial:
        partial.mkdir()
        with (partial / "ids.txt").open("w", encoding="utf-8") as ids_file:
            for ids, vectors in chunks:
                with _one_thread():
                    index = index or _new_index(factory, vectors)
                    index.add(vectors)
                ids_file.writelines(f"{id}\n" for id in ids)
        if index is None:
            raise PeftirError(f"{folder}: no documents to index")
        faiss.write_index(index, str(partial / "index.faiss"))
    return index.ntotal


def _new_index(factory: str, vectors: np.ndarray) -> faiss.Index:
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].split("Error: ")[-1]
        raise PeftirError(
            f"index.factory: {factory!r}: not an index that faiss can make of {len(vectors)} vectors of "
            f"{vectors.shape[1]} numbers ({reason}); 'Flat' and 'HNSW32' always work"
        ) from error
    return index


class DenseIndex:
    """A written index, read back for searching.

    Raises:
        PeftirError: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._index = faiss.read_index(str(folder / "index.faiss"))
            self._ids = (folder / "ids.txt").read_text(encoding="utf-8").splitlines()
        except (RuntimeError, OSError) as error:
            raise PeftirError(
                f"{folder}: not a readable index; delete it and run `dvc repro` again"
            ) from error
        if len(self._ids) != self._index.ntotal:
            raise PeftirError(
                f"{folder}/ids.txt: {len(self._ids)} ids for {self._index.ntotal} vectors; delete the folder "
                "and run `dvc repro` again"
            )

    def search(self, queries: list[str], vectors: np.ndarray, depth: int) -> Run:
        """The ``depth`` best documents of each query.

        Args:
            queries: ids of the queries.
            vectors: their unit vectors, ``[len(queries), d]`` float32.
        """
        with _one_thread():
            scores, rows = self._index.search(vectors, min(depth, self._index.ntotal))
        return {
            query: [
                (self._ids[row], float(score))
                for row, score in zip(rows[i], scores[i], strict=True)
                if row >= 0  # faiss fills up with -1 where an approximate index found too few
            ]
            for i, query in enumerate(queries)
        }
