"""Test sets that are added to a finished study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_study import Study

from peftir.data.collection import Collection

pytestmark = pytest.mark.pipeline

STAGES = ("prepare_test@{}", "bm25_test@{}", "untrained_test@{}-zero_shot", "retrieve_test@{}-lora-13")
STAGES += ("rerank_test@{}-iaa_l-13", "evaluate_test@{}")
OWN = {"d1": "a function sorts a list", "d2": "a class opens a file", "d3": "sorts nothing"}


def write_source(
    folder: Path, documents: dict[str, str], queries: dict[str, str], qrels: dict[str, Any]
) -> str:
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", documents), ("queries", queries)):
        lines = (json.dumps({"_id": id, "text": text}) + "\n" for id, text in texts.items())
        (folder / f"{name}.jsonl").write_text("".join(lines))
    rows = [f"{query}\t{doc}\t{grade}\n" for query, docs in qrels.items() for doc, grade in docs.items()]
    (folder / "qrels" / "test.tsv").write_text("".join(["query-id\tcorpus-id\tscore\n", *rows]))
    return f"beir:{folder}"


def locked(study: Study) -> dict[str, Any]:
    return yaml.safe_load((study.root / "dvc.lock").read_text())["stages"]


def test_test_sets_run_their_own_stages_and_a_query_has_the_same_values_in_every_set(broken: Study) -> None:
    collection = Collection(broken.root / "data/collection")
    queries, qrels = collection.queries("test"), collection.qrels("test")
    again = write_source(broken.root / "again", {}, queries, qrels)
    far = write_source(
        broken.root / "far", OWN, {"q1": "sorts a list", "q2": "file"}, {"q1": {"d1": 1}, "q2": {"d2": 1}}
    )
    before, outputs = locked(broken), broken.bytes_under("models", "runs", "data/index")
    broken.set_params({"tests": {"again": {"source": again, "corpus": "same"}, "far": {"source": far}}})
    ran = broken.repro()
    new = [stage.format(test) for stage in STAGES for test in ("again", "far")]
    assert sorted(ran) == sorted([*new, "report"])
    after = locked(broken)
    assert {stage: after[stage] for stage in before if stage != "report"} == {
        stage: before[stage] for stage in before if stage != "report"
    }
    assert {path: (broken.root / path).read_bytes() for path in outputs} == outputs
    # The collection's own test queries as a test set.
    means = json.loads((broken.root / "metrics/tests/again.json").read_text())
    for task in ("retrieval", "reranking"):
        assert means[task] == json.loads((broken.root / f"metrics/{task}.json").read_text())
    assert "## Test sets" in (broken.root / "report/results.md").read_text()
    assert broken.dvc("status").strip() == "Data and pipelines are up to date."


def test_judgements_of_other_documents_stop_the_first_stage(broken: Study) -> None:
    source = write_source(broken.root / "far", OWN, {"q1": "sorts a list"}, {"q1": {"d1": 1}})
    broken.set_params({"tests": {"far": {"source": source, "corpus": "same"}}})
    done = broken.run("dvc", "repro")
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "tests.far.source" in line]
    assert line.endswith(
        "judges 1 of 1 documents that are not in data/collection: 'd1'; expected documents "
        "of the collection, or corpus: own"
    )
    assert "Traceback" not in done.stderr
    assert not (broken.root / "data/tests/far").exists()
