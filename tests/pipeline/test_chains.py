"""Chains of a first stage and a re-ranker, and re-ranking a retriever's candidates, with a tiny backbone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from math import fsum
from pathlib import Path

import pandas as pd
import pytest
import torch

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.models import saving
from peftir.models.crossencoder import new_crossencoder
from peftir.pipeline.backbone import settle
from peftir.pipeline.bm25 import index_words, rank_by_words
from peftir.pipeline.chain import rerank_first_stages
from peftir.pipeline.chain_test import chain_test
from peftir.pipeline.evaluate import per_query
from peftir.pipeline.evaluate_chain_test import evaluate_chain_test
from peftir.pipeline.evaluate_chains import write_chain_metrics
from peftir.pipeline.fuse import fuse
from peftir.pipeline.fuse_test import fuse_test
from peftir.pipeline.prepare_test import prepare_test
from peftir.pipeline.rerank import rerank_candidates
from peftir.pipeline.rerank_test import rerank_test
from peftir.pipeline.untrained import rank_untrained
from peftir.ranking.interpolation import WEIGHTS
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Run, read_run
from peftir.study import blocks, layout
from peftir.study.params import Params
from peftir.system.files import remove
from peftir.training.distributed import launch
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

WORDS = [f"w{number}" for number in range(24)]
DOCUMENTS = {
    f"d{number}": f"{word} {WORDS[number - 1]} {WORDS[number // 3]} common"
    for number, word in enumerate(WORDS)
}
QUERIES = {f"q{number}": f"{word} {WORDS[number - 2]}" for number, word in enumerate(WORDS)}
SPLITS = {"train": range(4), "dev": range(4, 12), "test": range(12, 24)}
DEPTH, KEEP = 4, 8
TABLES = ("spread", "comparisons")
STAGES = ("bm25", "zero_shot", "rrf", "interpolated")


def params_of(folder: Path, candidates: str) -> Params:
    return make_params(
        folder,
        backbone={"name": str(folder / "backbone"), "precision": "float32"},
        methods={"lora": {"type": "lora", "rank": 2, "learning_rate": {"retriever": 0.1, "reranker": 0.1}}},
        variants={"untrained": ["zero_shot"], "retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13], "reranker": [13, 14]},
        retriever={"query_length": 8, "document_length": 8},
        retrieval={"depth": 12},
        reranker={"length": 16, "dev_depth": 4},
        reranking={"candidates": candidates, "depth": DEPTH, "keep": KEEP},
        measures={"retrieval": ["RR@10"], "reranking": ["RR@5"]},
        chains=["zero_shot"],
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with BM25, an untrained retriever and two re-rankers with random heads."""
    root = tmp_path_factory.mktemp("chains")
    write_tiny_bert(root / "backbone", [*WORDS, "common"])
    content = Content(
        documents=[Document(name, "", text) for name, text in DOCUMENTS.items()],
        qrels={split: [Judgement(f"q{n}", f"d{n}", 1) for n in numbers] for split, numbers in SPLITS.items()},
        queries=[Query(name, text) for name, text in QUERIES.items()],
        origin={"source": "by hand"},
    )
    write_collection(root / layout.COLLECTION, content)
    params = params_of(root, "bm25")
    settle(root, params)
    index_words(root, params)
    for split in SPLITS:
        rank_by_words(root, params, split)
    rank_untrained(root, params, "zero_shot")
    for seed in (13, 14):
        torch.manual_seed(seed)
        name = params.backbone.name
        model = new_crossencoder(name, revision=None, root=root, length=params.reranker.length)
        saving.attach(model, "lora", params.methods["lora"])
        saving.save(model, root / layout.model("reranker", "lora", seed), name, None, root)
    return root


@pytest.fixture(scope="module")
def chained(root: Path) -> Path:
    """The same with everything that the stages of chains write, beside BM25's candidates."""
    params = params_of(root, "bm25")
    fuse(root, params, "zero_shot")
    for seed in (13, 14):
        rerank_candidates(root, params, "lora", seed)
        assert rerank_first_stages(root, params, "zero_shot", "lora", seed) == list(STAGES[1:])
    list(write_chain_metrics(root, params, "zero_shot"))
    return root


def run_of(root: Path, stage: str, split: str = "test") -> Run:
    folders = {"bm25": "runs/bm25", "zero_shot": "runs/retrieval/zero_shot"}
    return read_run(root / folders.get(stage, f"runs/fusion/zero_shot/{stage}") / f"{split}.trec")


def reranked(root: Path, stage: str, seed: int, name: str = "test") -> Run:
    folder = "reranking" if stage == "bm25" else "chains/zero_shot"
    return read_run(
        root / "runs" / folder / f"lora-{seed}" / ("" if stage == "bm25" else stage) / f"{name}.trec"
    )


def ids(run: Run, depth: int | None = None) -> dict[str, list[str]]:
    return {query: [document for document, _ in hits[:depth]] for query, hits in run.items()}


def test_fused_runs_merge_the_ranks_of_both(chained: Path) -> None:
    ranks = [
        {
            query: {d: rank for rank, d in enumerate(found, 1)}
            for query, found in ids(run_of(chained, stage)).items()
        }
        for stage in STAGES[:2]
    ]
    fused = run_of(chained, "rrf")
    assert fused.keys() == Collection(chained / layout.COLLECTION).queries("test").keys()
    for query, hits in fused.items():
        scores = {
            document: fsum(1 / (60 + by[query][document]) for by in ranks if document in by.get(query, {}))
            for by in ranks
            for document in by.get(query, {})
        }
        # As written, a score is a 32-bit float, or the next ones below it where several are equal.
        assert dict(hits) == pytest.approx(
            {document: scores[document] for document, _ in hits}, rel=len(scores) * 2**-23
        )
        assert len(hits) == min(12, len(scores))
        assert (
            min(score for _, score in hits)
            >= max([score for d, score in scores.items() if d not in dict(hits)], default=0) - 1e-5
        )


def test_the_weight_of_the_retriever_is_the_best_on_dev(chained: Path) -> None:
    record = json.loads((chained / layout.fusion_weight("zero_shot")).read_text())
    assert [float(weight) for weight in record["dev"]] == WEIGHTS
    assert record["dev"][str(record["weight"])] == max(record["dev"].values())
    qrels = Collection(chained / layout.COLLECTION).qrels("dev")
    for weight, stage in (("0.0", "bm25"), ("1.0", "zero_shot")):
        alone = mean_of(run_of(chained, stage, "dev"), qrels, "RR@10")
        assert record["dev"][weight] == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize("stage", STAGES)
def test_each_first_stages_top_is_re_ranked_and_one_pair_has_one_score(chained: Path, stage: str) -> None:
    first, ranked = ids(run_of(chained, stage)), ids(reranked(chained, stage, 13))
    assert ranked.keys() == first.keys()
    for query, found in ranked.items():
        assert set(found[:DEPTH]) == set(first[query][:DEPTH])
        assert found[DEPTH:] == first[query][DEPTH:KEEP]
    scores = {q: dict(hits[:DEPTH]) for q, hits in reranked(chained, "bm25", 13).items()}
    for query, hits in reranked(chained, stage, 13).items():
        for document, score in hits[:DEPTH]:
            if document in scores.get(query, {}):
                assert score == pytest.approx(scores[query][document], abs=1e-5)


def test_the_tables_have_the_means_of_the_runs(chained: Path) -> None:
    table = pd.read_csv(chained / "metrics/chains/zero_shot/spread.tsv", sep="\t").set_index(
        ["reranker", "row"]
    )
    qrels = Collection(chained / layout.COLLECTION).qrels("test")
    assert set(table.index) == {(r, s) for r in ("none", "lora", "lora+first") for s in STAGES}

    def by_hand(run: Run) -> float:
        """RR@5, each query's relevant document having its number."""
        found = [(ids(run).get(query, [])[:5], f"d{query[1:]}") for query in qrels]
        return fsum(1 / (1 + top.index(document)) for top, document in found if document in top) / len(qrels)

    for stage in STAGES:
        assert table["mean"]["none", stage] == pytest.approx(by_hand(run_of(chained, stage)), abs=1e-6)
        for name, suffix in (("test", ""), ("test.interpolated", "+first")):
            seeds = [by_hand(reranked(chained, stage, seed, name)) for seed in (13, 14)]
            assert table["mean"][f"lora{suffix}", stage] == pytest.approx(sum(seeds) / 2, abs=1e-6)
    compared = pd.read_csv(chained / "metrics/chains/zero_shot/comparisons.tsv", sep="\t")
    corrected = compared[compared["t_test_holm"].notna()]
    assert (corrected["other"] == "bm25").all()
    assert set(compared["reranker"]) == {"none", "lora", "lora+first"}


def test_two_processes_write_what_one_writes(chained: Path) -> None:
    files = [chained / layout.chain_weights("zero_shot", "lora", 13)]
    files += (chained / layout.chain("zero_shot", "lora", 13)).rglob("*.trec")
    alone = {file: file.read_bytes() for file in files}
    assert len(alone) == 1 + 4 * len(STAGES[1:])  # dev and test, each by the scores alone and interpolated
    for file in files:
        remove(file)
    work = (chained, params_of(chained, "bm25"), "zero_shot", "lora", 13)
    launch(rerank_first_stages, work, 2, "reranking.processes")
    assert {file: file.read_bytes() for file in files} == alone


def test_a_test_set_with_the_same_queries_and_documents_has_the_same_chains(chained: Path) -> None:
    """The collection's own test queries and documents, as a test set, with weights from the study's dev."""
    source = chained / "source"
    (source / "qrels").mkdir(parents=True)
    texts = [json.dumps({"_id": name, "text": text}) for name, text in DOCUMENTS.items()]
    (source / "corpus.jsonl").write_text("\n".join(texts))
    queries = {f"q{n}": QUERIES[f"q{n}"] for n in SPLITS["test"]}
    asked = [json.dumps({"_id": name, "text": text}) for name, text in queries.items()]
    (source / "queries.jsonl").write_text("\n".join(asked))
    judged = [f"{query}\td{query[1:]}\t1" for query in queries]
    (source / "qrels/test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    params = params_of(chained, "bm25")
    test = blocks.TestSetParams(source=f"beir:{source}")
    params = params.model_copy(update={"tests": {"again": test}})
    prepare_test(chained, params, "again")
    for path in (layout.BM25_RUNS, layout.runs("retrieval", "zero_shot", None)):
        (chained / layout.of("again", path)).mkdir(parents=True)
        shutil.copy(chained / path / "test.trec", chained / layout.of("again", path))
    for seed in (13, 14):
        rerank_test(chained, params, "again", "lora", seed)
    fuse_test(chained, params, "again", "zero_shot")
    for seed in (13, 14):
        assert chain_test(chained, params, "again", "zero_shot", "lora", seed) == list(STAGES[1:])
    ours = list(evaluate_chain_test(chained, params, "again", "zero_shot"))
    assert ours == [Path("metrics/tests/again/chains/zero_shot") / f"{name}.tsv" for name in TABLES]
    for name in TABLES:
        expected = (chained / f"metrics/chains/zero_shot/{name}.tsv").read_bytes()
        assert (chained / f"metrics/tests/again/chains/zero_shot/{name}.tsv").read_bytes() == expected
    runs = {file.relative_to(chained / "runs/tests/again") for file in chained.glob("runs/tests/**/*.trec")}
    assert len(runs) == 2 + 2 + 2 * 2 * len(STAGES)  # first stages, fused ones, and re-ranked ones
    for run in runs:
        assert (chained / "runs/tests/again" / run).read_bytes() == (chained / "runs" / run).read_bytes()


@pytest.fixture
def other_candidates(chained: Path) -> Iterator[tuple[Path, Params]]:
    """The study as it was with BM25's candidates, to be re-ranked again from a retriever's."""
    runs = chained / "runs/reranking"
    runs.rename(chained / "runs/kept")
    params = params_of(chained, "retrieval/zero_shot")
    for seed in (13, 14):
        rerank_candidates(chained, params, "lora", seed)
    yield chained, params
    shutil.rmtree(runs)
    (chained / "runs/kept").rename(runs)
    params_of(chained, "bm25")


def test_a_retrievers_candidates_give_the_runs_of_its_chain_and_rows_of_their_own(
    other_candidates: tuple[Path, Params],
) -> None:
    root, params = other_candidates
    for seed in (13, 14):
        for name in ("dev", "test", "test.interpolated"):
            ours = (root / f"runs/reranking/lora-{seed}/{name}.trec").read_bytes()
            assert ours == (root / f"runs/chains/zero_shot/lora-{seed}/zero_shot/{name}.trec").read_bytes()
    assert " lora-13+zero_shot\n" in (root / "runs/reranking/lora-13/test.interpolated.trec").read_text()
    assert [row.name for row in params.rows("reranking")] == ["zero_shot", "lora", "lora+zero_shot"]
    # A row of retrieval, which is evaluated too.
    shutil.copytree(root / "runs/retrieval/zero_shot", root / "runs/retrieval/lora-13")
    table = per_query(root, params)
    means = table[table.stage == "reranking"].groupby("row")["value"].mean()
    assert set(means.index) == {"zero_shot", "lora", "lora+zero_shot"}
    qrels = Collection(root / layout.COLLECTION).qrels("test")
    cut = {query: hits[:KEEP] for query, hits in run_of(root, "zero_shot").items()}
    assert means["zero_shot"] == pytest.approx(mean_of(cut, qrels, "RR@5"))
    others = rerank_first_stages(root, params, "zero_shot", "lora", 13)
    assert others == ["bm25", "rrf", "interpolated"]  # the retriever's are the candidates
