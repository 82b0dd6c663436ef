"""The comparison with sentence-transformers on a few texts: what it writes, and that both sides agree."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.ranking.runs import write_run
from peftir.study import layout

ROOT = Path(__file__).parents[1]
WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text", "model", "matrix", "graph"]
SMALL = {
    "retriever": {"batch_size": 3, "document_length": 16, "dev_queries": 4, "dev_documents": 8},
    "reranker": {"batch_size": 2, "length": 24, "negatives": 2, "dev_queries": 4, "dev_depth": 3},
}


def write_toy_study(folder: Path) -> None:
    """Params, 18 documents with a query each, and BM25's runs, what is relevant in second place."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for block, changes in SMALL.items():
        params[block] |= changes
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    generator = random.Random(5)
    texts = [" ".join(generator.choices(WORDS, k=generator.randrange(3, 30))) for _ in range(18)]
    splits = {split: range(start, start + 6) for split, start in (("train", 0), ("dev", 6), ("test", 12))}
    content = Content(
        documents=[Document(f"d{i}", "", text) for i, text in enumerate(texts)],
        qrels={split: [Judgement(f"q{i}", f"d{i}", 1) for i in rows] for split, rows in splits.items()},
        queries=[Query(f"q{i}", " ".join(text.split()[:3])) for i, text in enumerate(texts)],
        origin={"source": "a test"},
    )
    write_collection(folder / layout.COLLECTION, content)
    for split, rows in splits.items():
        ranking = {f"q{i}": [f"d{(i + step) % 18}" for step in (17, 0, 1, 2, 3, 4)] for i in rows}
        run = {q: [(doc, float(-rank)) for rank, doc in enumerate(docs)] for q, docs in ranking.items()}
        write_run(folder / layout.BM25_RUNS / f"{split}.trec", run, tag="bm25")


def throughput(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/throughput.py"), *arguments],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("study")
    write_toy_study(folder)
    few = {"texts": 12, "steps": 2, "batch": 7, "mini-batch": 3, "batch-steps": 2, "repeats": 1}
    arguments = [part for name, value in few.items() for part in (f"--{name}", str(value))]
    run = throughput(folder, *arguments, "--output", "results.json")
    assert run.returncode == 0, run.stderr
    assert not (folder / "models").exists()  # the study's artefacts are read, never written
    return json.loads((folder / "results.json").read_text(encoding="utf-8")), run.stdout


def test_every_row_has_both_rates_and_their_ratio(done: tuple[dict[str, Any], str]) -> None:
    results, printed = done
    assert [row["what"] for row in results["rows"]] == [
        "encoding",
        "re-ranking",
        "training, retriever, full",
        "training, retriever, lora",
        "training, reranker, full",
        "training, reranker, lora",
        "training, retriever, full, cached batch of 7, beside sentence-transformers",
    ]
    assert "torch" in results["machine"] and results["machine"] in printed
    for row in results["rows"]:
        for side in ("ours", "theirs"):
            low, high = row[f"{side}_range"]
            assert 0 < low <= row[side] <= high
        # Rates have three significant digits, so their quotient is off by 1 %; the ratio has two decimals.
        quotient = row["ours"] / row["theirs"]
        assert row["ratio"] == pytest.approx(quotient, abs=0.005 + 0.0101 * quotient)
        assert any(row["what"] in line and row["same"] in line for line in printed.splitlines())


def numbers(results: dict[str, Any], row: int) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", results["rows"][row]["same"])]


def test_both_sides_encode_and_score_the_same(done: tuple[dict[str, Any], str]) -> None:
    results, _ = done
    ours, theirs, cosine = numbers(results, 0)
    # In float32, of which what is printed, with three or four decimals, shows no rounding.
    assert 0 < ours == theirs <= 1
    assert cosine == 1
    *_, lowest, highest, difference = numbers(results, 1)
    assert difference == 0 < highest - lowest
    *_, first_loss, their_first_loss = numbers(results, -1)
    assert first_loss == pytest.approx(their_first_loss, abs=1.01e-4)  # four decimals are printed
    assert first_loss > 0


def test_a_size_that_is_too_small_is_one_line(tmp_path: Path) -> None:
    run = throughput(tmp_path, "--steps", "1")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "error: --steps: 1: expected 2 or more"


def module_of(script: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location(script, ROOT / f"benchmarks/{script}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, script, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([("a", 3.0), ("b", 2.0), ("c", 1.0)], "equal"),
        ([("a", 3.0001), ("b", 2.0), ("c", 1.0)], "rounded"),
        ([("a", 3.0), ("b", 2.0), ("new", 1.0001)], "rounded"),  # from below the last rank
        ([("b", 3.0), ("a", 2.0), ("c", 1.0)], "wrong"),
        ([("a", 3.0), ("b", 2.01), ("c", 1.0)], "wrong"),
        ([("new", 3.0), ("b", 2.0), ("c", 1.0)], "wrong"),
        ([("a", 3.0), ("b", 2.0)], "wrong"),
    ],
)
def test_an_answer_of_the_server_is_right_but_for_rounding(
    answer: list[tuple[str, float]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = module_of("serving", monkeypatch)
    assert serving.agreement(answer, [("a", 3.0), ("b", 2.0), ("c", 1.0)]) == said


def test_the_rehearsal_of_ms_marco_is_a_collection_that_the_stages_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = module_of("scale", monkeypatch)
    monkeypatch.setattr(scale, "DEV", 5)
    monkeypatch.setattr(scale, "TEST", 7)
    scale.write_passages(tmp_path / "passages", 300, 11)
    scale.write_params(tmp_path)
    assert scale.run(tmp_path, ("prepare",)).megabytes > 10
    collection = Collection(tmp_path / layout.COLLECTION)
    texts = dict(collection.texts())
    assert len(texts) == 300
    for split, count in {"train": 11, "dev": 5, "test": 7}.items():
        queries, qrels = collection.queries(split), collection.qrels(split)
        assert len(queries) == count
        for query, text in queries.items():  # of words of the passage that it is about
            [passage] = qrels[query]
            assert set(text.split()) <= set(texts[passage].split())
    assert scale.full_size([0.01, 0.1], [2.0, 11.0]) == pytest.approx(101)
