"""What one ``dvc repro`` of a small study leaves behind, and what a change makes stale."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from small_study import TRIED, Study

pytestmark = pytest.mark.pipeline

ARTEFACTS = """
data/collection/corpus.parquet
data/collection/queries.parquet
data/collection/qrels/train.tsv
data/collection/qrels/dev.tsv
data/collection/qrels/test.tsv
data/collection/manifest.json
data/bm25/segments_1
runs/bm25/train.trec
runs/bm25/dev.trec
runs/bm25/test.trec
models/retriever/{retriever}/modules.json
metrics/training/retriever/{retriever}.json
metrics/curves/retriever/{retriever}/plots/metrics/dev/RR@10.tsv
data/index/{retriever}/index.faiss
data/index/{retriever}/ids.txt
runs/retrieval/{retriever}/dev.trec
runs/retrieval/{retriever}/test.trec
models/reranker/{reranker}/modules.json
models/reranker/{reranker}/adapter_model.safetensors
metrics/training/reranker/{reranker}.json
metrics/curves/reranker/{reranker}/plots/metrics/dev/RR@10.tsv
metrics/curves/reranker/{reranker}/plots/metrics/train/loss.tsv
metrics/interpolation/{reranker}.json
runs/reranking/{reranker}/dev.trec
runs/reranking/{reranker}/dev.interpolated.trec
runs/reranking/{reranker}/test.trec
runs/reranking/{reranker}/test.interpolated.trec
models/retriever/zero_shot/modules.json
data/index/zero_shot/index.faiss
runs/retrieval/zero_shot/dev.trec
runs/retrieval/zero_shot/test.trec
metrics/training/retriever/zero_shot.json
metrics/resources/untrained/zero_shot.json
metrics/resources/prepare.json
metrics/resources/bm25.json
metrics/resources/train_retriever/{retriever}.json
metrics/resources/index/{retriever}.json
metrics/resources/retrieve/{retriever}.json
metrics/resources/train_reranker/{reranker}.json
metrics/resources/rerank/{reranker}.json
metrics/resources/learning.json
metrics/learning.json
metrics/surfaces.json
metrics/learning_curves/retriever.tsv
metrics/learning_curves/reranker.tsv
metrics/per_query.parquet
metrics/retrieval.json
metrics/reranking.json
metrics/variants.json
report/index.html
report/results.md
"""
RETRIEVERS, RERANKERS = ("lora-13",), ("iaa_l-13",)

BM25, LEARNING, LAST = {"bm25"}, {"learning"}, {"evaluate", "report"}
ZERO_SHOT = {"untrained@zero_shot"}
LORA = {f"{stage}@lora-13" for stage in ("train_retriever", "index", "retrieve")}
IAA_L = {"train_reranker@iaa_l-13", "rerank@iaa_l-13"}
# `untrained` writes its model beside the trained ones, so `learning` waits for it, and finds the same bytes.
DENSE = ZERO_SHOT | {"index@lora-13", "retrieve@lora-13"} | LEARNING

IN_A_FRESH_PROCESS = """
import json, sys
import peftir.tuners
from sentence_transformers import CrossEncoder, SentenceTransformer
asked = json.load(sys.stdin)
retriever = SentenceTransformer("models/retriever/lora-13")
reranker = CrossEncoder("models/reranker/iaa_l-13")
queries, documents = zip(*asked["retrieved"])
cosines = retriever.encode_query(list(queries)) * retriever.encode_document(list(documents))
print(json.dumps([cosines.sum(axis=1).tolist(), reranker.predict(asked["reranked"]).tolist()]))
"""


def ranking(study: Study, run: str) -> pd.DataFrame:
    names = ["query", "Q0", "document", "rank", "score", "tag"]
    return pd.read_csv(study.root / "runs" / run, sep=" ", names=names)


def metrics(study: Study, task: str) -> dict[str, dict[str, float]]:
    return json.loads((study.root / "metrics" / f"{task}.json").read_text())


@pytest.mark.parametrize("artefact", ARTEFACTS.split())
def test_every_artefact_is_there(study: Study, artefact: str) -> None:
    for retriever in RETRIEVERS:
        for reranker in RERANKERS:
            path = study.root / artefact.format(retriever=retriever, reranker=reranker)
            assert path.stat().st_size > 0, path


def test_only_what_is_meant_for_git_shows_up_there(study: Study) -> None:
    done = study.run("git", "status", "--porcelain", "--untracked-files=all")
    shown = [line[3:] for line in done.stdout.splitlines()]
    own = re.compile(
        r"params\.yaml|dvc\.lock|metrics/(.*\.(json|tsv)|queries\.parquet)|report/(results\.md|tables\.tex)"
    )
    assert "params.yaml" in shown
    assert [name for name in shown if not own.fullmatch(name) and not name.startswith(TRIED)] == []


def test_nothing_half_written_stays(study: Study) -> None:
    assert [path for path in study.root.rglob("*.partial*") if ".dvc" not in path.parts] == []


def test_metrics_have_every_row_and_measure(study: Study) -> None:
    rows = {
        "retrieval": ["bm25", "zero_shot", "lora"],
        "reranking": ["bm25", "iaa_l", "iaa_l+bm25"],
    }
    for task, names in rows.items():
        table = metrics(study, task)
        assert list(table) == names
        for values in table.values():
            assert list(values) == study.params()["measures"][task]
            assert all(0 < value <= 1 for value in values.values())


@pytest.mark.parametrize(
    ("task", "row", "run"),
    [
        ("retrieval", "bm25", "bm25/test.trec"),
        ("retrieval", "zero_shot", "retrieval/zero_shot/test.trec"),
        ("retrieval", "lora", "retrieval/lora-13/test.trec"),
        ("reranking", "bm25", "bm25/test.trec"),
        ("reranking", "iaa_l", "reranking/iaa_l-13/test.trec"),
        ("reranking", "iaa_l+bm25", "reranking/iaa_l-13/test.interpolated.trec"),
    ],
)
def test_a_row_is_what_its_run_and_the_judgements_say(study: Study, task: str, row: str, run: str) -> None:
    qrels = pd.read_csv(study.root / "data/collection/qrels/test.tsv", sep="\t")
    relevant = qrels[qrels["score"] > 0].rename(columns={"query-id": "query", "corpus-id": "document"})
    found = relevant.merge(ranking(study, run), on=["query", "document"])
    first = found[found["rank"] <= 10].groupby("query")["rank"].min()
    assert metrics(study, task)[row]["RR@10"] == round((1 / first).sum() / qrels["query-id"].nunique(), 4)


def test_every_query_of_a_split_is_ranked_and_scores_fall(study: Study) -> None:
    queries = pd.read_parquet(study.root / "data/collection/queries.parquet")
    for run in (study.root / "runs").rglob("*.trec"):
        ranked = ranking(study, str(run.relative_to(study.root / "runs")))
        assert set(ranked["query"]) == set(queries[queries["split"] == run.name.split(".")[0]]["_id"])
        falls = ranked.groupby("query")["score"].diff().dropna() < 0
        assert falls.all(), run


def test_the_report_shows_every_row(study: Study) -> None:
    results = (study.root / "report/results.md").read_text()
    page = (study.root / "report/index.html").read_text()
    for text in (results, page):
        for name in ("zero_shot", "lora", "iaa_l"):
            assert name in text
    value = metrics(study, "retrieval")["lora"]["nDCG@10"]
    assert f"{value:.3f}" in results
    assert not re.search(r'(src|href)="?https?:', page)


def test_model_folders_load_in_a_fresh_process_and_give_the_runs_scores(study: Study) -> None:
    corpus = pd.read_parquet(study.root / "data/collection/corpus.parquet").set_index("_id")
    queries = pd.read_parquet(study.root / "data/collection/queries.parquet").set_index("_id")["text"]
    texts = (corpus["title"] + " " + corpus["text"]).str.strip()
    retrieved = ranking(study, "retrieval/lora-13/test.trec").query("rank in (1, 40)").head(30)
    reranked = ranking(study, "reranking/iaa_l-13/test.trec").query("rank <= 5").head(30)
    asked = {
        name: list(zip(queries[run["query"]], texts[run["document"]], strict=True))
        for name, run in (("retrieved", retrieved), ("reranked", reranked))
    }
    done = study.run(sys.executable, "-c", IN_A_FRESH_PROCESS, input=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    cosines, scores = json.loads(done.stdout.splitlines()[-1])
    # Both compute in float32, in other batches: 6e-8 for each of some hundred roundings, and a margin.
    assert study.params()["backbone"]["precision"] == "float32"
    assert cosines == pytest.approx(retrieved["score"].tolist(), abs=1e-4)
    assert scores == pytest.approx(reranked["score"].tolist(), abs=1e-4)


def test_dvc_repro_again_runs_nothing(study: Study) -> None:
    printed = study.dvc("repro")
    assert "Running stage" not in printed
    assert "up to date" in printed


def test_dvc_status_is_clean(study: Study) -> None:
    assert json.loads(study.dvc("status", "--json")) == {}


@pytest.fixture
def stale_after(study: Study) -> Iterator[Callable[[dict[str, Any]], set[str]]]:
    """The stages that a change of params makes stale."""
    path = study.root / "params.yaml"
    before = path.read_bytes()

    def change(blocks: dict[str, Any]) -> set[str]:
        study.set_params(blocks)
        return stale(study)

    yield change
    path.write_bytes(before)


def stale(study: Study) -> set[str]:
    """The stages that ``dvc repro`` would run first, and all that come after one of them."""
    waiting = list(json.loads(study.dvc("status", "--json")))
    edges = re.findall(r'"(.+)" -> "(.+)"', study.dvc("dag", "--dot"))
    found: set[str] = set()
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            waiting += [after for before, after in edges if before == stage]
    return found


def test_a_methods_settings_concern_that_method_alone(study: Study, stale_after) -> None:
    lora, iaa_l = (study.params()["methods"][name] for name in ("lora", "iaa_l"))
    assert stale_after({"methods": {"lora": lora | {"budget": 0.002}}}) == LORA | LEARNING | LAST
    changed = {"methods": {"lora": lora, "iaa_l": iaa_l | {"budget": 0.002}}}
    assert stale_after(changed) == IAA_L | LEARNING | LAST


def test_bm25s_settings_concern_all_but_the_collection(stale_after) -> None:
    assert stale_after({"bm25": {"k1": 1.2}}) == BM25 | LORA | IAA_L | LEARNING | LAST


def test_measures_concern_the_evaluation_alone(stale_after) -> None:
    assert stale_after({"measures": {"retrieval": ["RR@10", "AP"]}}) == LAST


def test_a_retrievers_settings_leave_rerankers_alone(stale_after) -> None:
    assert stale_after({"retriever": {"temperature": 0.1}}) == LORA | LEARNING | LAST


def test_the_indexs_settings_leave_models_alone(stale_after) -> None:
    assert stale_after({"index": {"factory": "HNSW32"}}) == DENSE | LAST


def test_one_more_variant_leaves_the_others_alone(stale_after) -> None:
    new = {stage.replace("lora", "adapter") for stage in LORA}
    variants = {"retriever": ["lora", "adapter"]}
    assert stale_after({"variants": variants}) == new | LEARNING | LAST


def test_a_change_of_code_concerns_the_stages_that_use_it(study: Study) -> None:
    path = study.root / "src/peftir/ranking/dense.py"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\n# changed\n")
        assert stale(study) == DENSE | LAST
    finally:
        path.write_bytes(before)
