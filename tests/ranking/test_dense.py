"""The dense index against exact search by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from peftir.ranking.dense import DenseIndex, build_index
from peftir.system.errors import PeftirError

IDS = [f"d{i}" for i in range(500)]

ROUNDING = 1e-6
"""Of a sum of 16 products, of vectors of length 1, in 32-bit floats: 16 · 2^-24 at most."""


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    vectors = np.random.default_rng(3).normal(size=(500, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def chunks(vectors: np.ndarray, size: int = 128) -> list[tuple[list[str], np.ndarray]]:
    return [(IDS[i : i + size], vectors[i : i + size]) for i in range(0, len(vectors), size)]


def build(vectors: np.ndarray, factory: str, folder: Path, size: int = 128, sample: int = 500) -> int:
    return build_index(chunks(vectors, size), factory, folder, count=len(vectors), sample=sample)


def test_flat_is_exact_search(tmp_path: Path, vectors: np.ndarray) -> None:
    assert build(vectors, "Flat", tmp_path / "index") == 500
    run = dict(DenseIndex(tmp_path / "index").search(["x", "y"], vectors[:2] * 1.0, 20))
    for row, query in enumerate(("x", "y")):
        exact = vectors.astype(np.float64) @ vectors[row]
        order = np.argsort(-exact)[:20]
        assert [doc for doc, _ in run[query]] == [IDS[i] for i in order]
        assert [score for _, score in run[query]] == pytest.approx(exact[order].tolist(), abs=ROUNDING)


@pytest.mark.parametrize("queries", [1, 3, 19, 64])
def test_threads_do_not_change_what_flat_finds_equal_scores_included(
    tmp_path: Path, vectors: np.ndarray, queries: int
) -> None:
    vectors = np.concatenate([vectors] * 40)
    ids = [f"d{i}" for i in range(len(vectors))]
    build_index([(ids, vectors)], "Flat", tmp_path / "index", count=len(ids), sample=1)
    before = faiss.omp_get_max_threads()
    try:
        runs = []
        for threads in (1, 2, 4):
            faiss.omp_set_num_threads(threads)
            index = DenseIndex(tmp_path / "index")
            # Within each forty equal scores, and cut between two of them.
            runs.append(list(index.search(ids[:queries], vectors[:queries], 70)))
    finally:
        faiss.omp_set_num_threads(before)
    assert runs[0] == runs[1] == runs[2]


def test_a_flat_index_is_mapped_and_not_loaded(tmp_path: Path) -> None:
    """In a fresh process: searching holds no copy of the vectors that the system could not drop."""
    code = """
import sys
from pathlib import Path
import faiss, numpy as np
from peftir.ranking.dense import DenseIndex, build_index
folder = Path(sys.argv[1])

def private():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

vectors = np.ones((1, 64), np.float32)
if sys.argv[2] == "build":
    data = np.random.default_rng(0).random((400_000, 64), np.float32)
    build_index([([str(i) for i in range(len(data))], data)], "Flat", folder, count=len(data), sample=1)
else:
    before = private()
    list(DenseIndex(folder).search(["q", "r"], np.concatenate([vectors, vectors]), 10))
    print(private() - before)
"""
    folder = str(tmp_path / "index")
    subprocess.run([sys.executable, "-c", code, folder, "build"], check=True)
    grown = subprocess.run(
        [sys.executable, "-c", code, folder, "search"], check=True, capture_output=True, text=True
    ).stdout
    assert int(grown) < 40_000  # kB; the vectors take 100,000


def test_the_chunks_do_not_change_the_index(tmp_path: Path, vectors: np.ndarray) -> None:
    build(vectors, "Flat", tmp_path / "whole", 500)
    build(vectors, "Flat", tmp_path / "pieces", 7)
    for name in ("index.faiss", "ids.txt"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "pieces" / name).read_bytes()


def test_depth_beyond_the_collection_gives_every_document_once(tmp_path: Path, vectors: np.ndarray) -> None:
    build(vectors, "Flat", tmp_path / "index")
    ((_, ranking),) = DenseIndex(tmp_path / "index").search(["q"], vectors[:1], 1000)
    assert sorted(doc for doc, _ in ranking) == sorted(IDS)


def test_an_index_that_needs_training_is_trained_and_lost_rows_are_dropped(
    tmp_path: Path, vectors: np.ndarray
) -> None:
    build(vectors, "IVF4,Flat", tmp_path / "index")
    ((_, ranking),) = DenseIndex(tmp_path / "index").search(["q"], vectors[:1], 400)
    assert ranking[0][0] == "d0"
    assert 0 < len(ranking) < 400  # one of four cells is searched
    ((_, exhaustive),) = DenseIndex(tmp_path / "index", "nprobe=4").search(["q"], vectors[:1], 400)
    build(vectors, "Flat", tmp_path / "flat")
    ((_, exact),) = DenseIndex(tmp_path / "flat").search(["q"], vectors[:1], 400)
    assert dict(exhaustive) == pytest.approx(dict(exact), rel=0, abs=2 * ROUNDING)


@pytest.mark.parametrize("factory", ["HNSW16", "IVF8,Flat", "IVF8,PQ4x4"])
def test_an_approximate_index_is_the_same_each_time_and_finds_most(
    tmp_path: Path, vectors: np.ndarray, factory: str
) -> None:
    parameters = "efSearch=100" if factory.startswith("HNSW") else "nprobe=8"
    for name in ("one", "two"):
        build(vectors, factory, tmp_path / name, sample=400)
    assert (tmp_path / "one/index.faiss").read_bytes() == (tmp_path / "two/index.faiss").read_bytes()
    run = dict(DenseIndex(tmp_path / "one", parameters).search(IDS[:50], vectors[:50], 20))
    found = [query in [doc for doc, _ in ranking] for query, ranking in run.items()]
    assert sum(found) >= (45 if "PQ" in factory else 50)  # each vector finds itself


def test_the_sample_is_spread_over_all_documents(tmp_path: Path) -> None:
    """Two clusters, one after the other: trained on the first documents alone, one cell would hold all."""
    vectors = np.repeat(np.eye(2, dtype=np.float32), 250, axis=0)
    build(vectors, "IVF2,Flat", tmp_path / "index", sample=100)
    for row, first in ((0, 0), (499, 250)):
        run = dict(DenseIndex(tmp_path / "index").search(["q"], vectors[row : row + 1], 500))
        assert sorted(doc for doc, _ in run["q"]) == sorted(IDS[first : first + 250])


def test_too_few_documents_to_train_and_a_wrong_search_parameter_are_named(
    tmp_path: Path, vectors: np.ndarray
) -> None:
    with pytest.raises(PeftirError, match=r"index\.factory: 'IVF600,Flat': faiss cannot train it on 500 of"):
        build(vectors, "IVF600,Flat", tmp_path / "index")
    with pytest.raises(PeftirError, match=r"on 20 of 500 documents.*train_sample \(now 20\)"):
        build(vectors, "IVF64,Flat", tmp_path / "index", sample=20)
    assert list(tmp_path.iterdir()) == []
    build(vectors, "Flat", tmp_path / "index")
    for parameters in ("nprobe=4", "no such"):
        with pytest.raises(PeftirError, match=r"retrieval\.search_parameters: '(nprobe=4|no such)'"):
            DenseIndex(tmp_path / "index", parameters)


def test_torch_keeps_its_threads(tmp_path: Path) -> None:
    """In a fresh process: the thread count of one OpenMP runtime is set through the other."""
    code = f"""
import numpy, torch
torch.set_num_threads(2)
from pathlib import Path
from peftir.ranking.dense import DenseIndex, build_index
vectors = numpy.eye(4, dtype=numpy.float32)
build_index([(list("abcd"), vectors)], "Flat", Path({str(tmp_path / "index")!r}), count=4, sample=4)
list(DenseIndex(Path({str(tmp_path / "index")!r})).search(["q"], vectors[:1], 2))
print(torch.get_num_threads())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "2"


def test_an_unknown_factory_string_names_itself_and_leaves_nothing(
    tmp_path: Path, vectors: np.ndarray
) -> None:
    with pytest.raises(PeftirError, match=r"index\.factory: 'Flatt'.*expected one such as 'Flat'"):
        build(vectors, "Flatt", tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_index_says_what_to_do(tmp_path: Path, vectors: np.ndarray) -> None:
    build(vectors, "Flat", tmp_path / "index")
    file = tmp_path / "index" / "index.faiss"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(
        PeftirError,
        match=r"index: is damaged \(.*\); make it again: `dvc repro --force --single-item index@index`",
    ):
        DenseIndex(tmp_path / "index")
    build(vectors, "Flat", tmp_path / "index")
    (tmp_path / "index" / "ids.txt").write_text("d0\n")
    with pytest.raises(PeftirError, match="1 ids for 500 vectors"):
        DenseIndex(tmp_path / "index")
