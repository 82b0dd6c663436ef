"""Metrics of a whole study, worked out by hand from runs and judgements of a few lines."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.pipeline.evaluate import families, means, per_query, rankings, variants, write_metrics
from peftir.ranking.runs import Run, write_run
from peftir.statistics.comparisons import comparisons, spread
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from synthetic_study import make_params

# q4 is judged, but nothing is relevant to it; q5 is judged in another split, q6 nowhere.
QRELS = {
    "train": [Judgement("q5", "a", 1)],
    "test": [
        Judgement("q1", "a", 1),
        Judgement("q2", "b", 1),
        Judgement("q2", "c", 1),
        Judgement("q4", "a", 0),
    ],
}
DOCUMENTS = [Document(name, "", f"text {name}") for name in ("a", "b", "c", "d", "e")]
QUERIES = [Query(f"q{number}", f"query {number}") for number in range(1, 7)]


def ranking(**documents: str) -> Run:
    """``q1="abc"`` ranks a, b and c for q1."""
    return {
        query: [(name, -float(rank)) for rank, name in enumerate(names)] for query, names in documents.items()
    }


BM25 = ranking(q1="bca", q2="cab", q4="a", q6="abc")
RUNS = {
    layout.BM25_RUNS / "test.trec": BM25,
    layout.runs("retrieval", "lora", 13) / "test.trec": ranking(q1="ab", q2="adb"),
    layout.runs("retrieval", "lora", 14) / "test.trec": ranking(q1="ba", q6="a"),  # q2 and q4 found nothing
    layout.runs("reranking", "lora", 13) / "test.trec": ranking(q1="bac", q2="bca", q4="a"),
    layout.runs("reranking", "lora", 13) / "test.interpolated.trec": ranking(q1="abc", q2="acb", q4="a"),
}
# Means over q1, q2 and q4, where q4 always counts 0; by row, the mean of its seeds.
RETRIEVAL = {
    "bm25": {"RR@2": (0 + 1 + 0) / 3, "R@2": (0 + 1 / 2 + 0) / 3, "R@10": (1 + 1 + 0) / 3},
    "lora": {
        "RR@2": ((1 + 0 + 0) / 3 + (1 / 2 + 0 + 0) / 3) / 2,
        "R@2": ((1 + 0 + 0) / 3 + (1 + 0 + 0) / 3) / 2,
        "R@10": ((1 + 1 / 2 + 0) / 3 + (1 + 0 + 0) / 3) / 2,
    },
}
RERANKING = {
    "bm25": {"RR@10": (1 / 3 + 1 + 0) / 3},
    "lora": {"RR@10": (1 / 2 + 1 + 0) / 3},
    "lora+bm25": {"RR@10": (1 + 1 / 2 + 0) / 3},
}


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return make_params(
        tmp_path,
        variants={"retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13, 14], "reranker": [13]},
        measures={"retrieval": ["RR@2", "R@2", "R@10"], "reranking": ["RR@10"]},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A study's folder with a collection and the runs of one variant."""
    content = Content(documents=DOCUMENTS, qrels=QRELS, queries=QUERIES, origin={"source": "test"})
    write_collection(tmp_path / layout.COLLECTION, content)
    for path, run in RUNS.items():
        write_run(tmp_path / path, run, tag="test")
    for stage in ("retriever", "reranker"):
        for seed in (13, 14):
            write_training(tmp_path, layout.training(stage, "lora", seed), "lora", 100_000, best_step=seed)
    return tmp_path


def write_training(root: Path, path: Path, method: str, trained: int, **more: int) -> None:
    """What evaluate reads of a training's record."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    weights = {"trained": trained, "head": 0, "backbone": 2_000_000}
    (root / path).write_text(json.dumps({"type": method, "weights": weights, **more}))


def metrics(root: Path, task: str) -> dict[str, dict[str, float]]:
    return json.loads((root / layout.metrics(task)).read_text())


def rounded(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {row: {name: round(value, 4) for name, value in values.items()} for row, values in table.items()}


def test_metrics_are_those_worked_out_by_hand(root: Path, params: Params) -> None:
    assert list(write_metrics(root, params)) == [
        layout.PER_QUERY,
        layout.metrics("retrieval"),
        layout.metrics("reranking"),
        layout.VARIANTS,
        layout.SPREAD,
        layout.COMPARISONS,
    ]
    assert metrics(root, "retrieval") == rounded(RETRIEVAL)
    assert metrics(root, "reranking") == rounded(RERANKING)


def test_what_the_trainings_wrote_of_the_variants_is_kept(root: Path, params: Params) -> None:
    list(write_metrics(root, params))
    found = json.loads((root / layout.VARIANTS).read_text())
    assert list(found) == ["retrieval", "reranking"]
    weights = {"trained": 100_000, "head": 0, "backbone": 2_000_000}
    assert found["retrieval"] == {"lora": {"type": "lora", "weights": weights, "best_steps": [13, 14]}}
    assert found["reranking"]["lora"]["best_steps"] == [13]


def test_rows_and_measures_come_in_the_order_of_params(root: Path, params: Params) -> None:
    list(write_metrics(root, params))
    assert list(metrics(root, "retrieval")) == ["bm25", "lora"]
    assert list(metrics(root, "reranking")) == ["bm25", "lora", "lora+bm25"]
    assert list(metrics(root, "retrieval")["bm25"]) == params.measures.retrieval


def test_bm25_is_a_row_of_both_tasks_and_has_no_seed(params: Params) -> None:
    bm25 = [ranking for ranking in rankings(params) if ranking.row.variant is None]
    assert [(ranking.task, ranking.seed, ranking.runs) for ranking in bm25] == [
        ("retrieval", -1, {None: Path("runs/bm25/test.trec")}),
        ("reranking", -1, {None: Path("runs/bm25/test.trec")}),
    ]


def test_the_untrained_backbone_ranks_once_whatever_the_seeds_and_folds(root: Path, tmp_path: Path) -> None:
    folded = ["13f1", "13f2", "14f1", "14f2"]
    for folds, seeds in ((None, [13, 14]), (2, folded)):
        params = make_params(
            tmp_path,
            collection={"folds": folds},
            variants={"untrained": ["zero_shot"], "retriever": ["lora"], "reranker": ["lora"]},
            seeds={"retriever": seeds, "reranker": seeds},
        )
        [found] = [each for each in rankings(params) if each.row.variant == "zero_shot"]
        assert (found.task, found.seed) == ("retrieval", -1)
        assert found.runs == {None: Path("runs/retrieval/zero_shot/test.trec")}
    params = make_params(
        tmp_path,
        variants={"untrained": ["zero_shot"], "retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13, 14], "reranker": [13]},
        measures={"retrieval": ["RR@2"], "reranking": ["RR@10"]},
    )
    write_run(root / found.runs[None], ranking(q1="ba", q2="bd", q4="a"), tag="test")
    write_training(root, layout.training("retriever", "zero_shot", None), "zero_shot", 0)
    list(write_metrics(root, params))
    # 1/2, 1 and 0; without seeds there is nothing to spread over, and it is compared with every seed of lora.
    lines = pd.read_csv(root / layout.SPREAD, sep="\t").set_index(["stage", "row"])
    untrained = lines.loc[("retrieval", "zero_shot")]
    assert (untrained["mean"], untrained["seeds"], pd.isna(untrained["sd"])) == (0.5, 1, True)
    pairs = pd.read_csv(root / layout.COMPARISONS, sep="\t").set_index(["stage", "row", "other"])
    assert pairs.loc[("retrieval", "lora", "zero_shot"), "difference"] == -0.25
    # The untrained backbone is the baseline: who would compare with BM25 finds no corrected p-value.
    assert pd.notna(pairs.loc[("retrieval", "lora", "zero_shot"), "two_level_holm"])
    assert pd.isna(pairs.loc[("retrieval", "lora", "bm25"), "two_level_holm"])


def test_the_table_has_a_line_a_query_seed_and_measure(root: Path, params: Params) -> None:
    list(write_metrics(root, params))
    table = pd.read_parquet(root / layout.PER_QUERY)
    assert list(table.columns) == ["stage", "row", "seed", "query", "measure", "value"]
    assert set(table["query"]) == {"q1", "q2", "q4"}
    assert not table.duplicated(["stage", "row", "seed", "query", "measure"]).any()
    assert len(table) == 3 * 3 * 3 + 3 * 3  # queries × (bm25, lora-13, lora-14) × 3 measures; × 3 rows × 1
    one = table[(table.stage == "retrieval") & (table.row == "lora") & (table.measure == "RR@2")]
    assert one[one.seed == 13].set_index("query")["value"].to_dict() == {"q1": 1, "q2": 0, "q4": 0}
    assert one[one.seed == 14].set_index("query")["value"].to_dict() == {"q1": 1 / 2, "q2": 0, "q4": 0}
    assert means(table, "retrieval") == metrics(root, "retrieval")


def test_what_other_variants_and_seeds_left_behind_does_not_count(root: Path, params: Params) -> None:
    paths = list(write_metrics(root, params))
    before = [(root / path).read_bytes() for path in paths]
    for variant, seed in (("lora", 15), ("adapter", 13)):
        write_run(root / layout.runs("retrieval", variant, seed) / "test.trec", ranking(q1="a"), tag="old")
    (root / layout.runs("reranking", "full", 13)).mkdir()
    (root / layout.runs("reranking", "full", 13) / "test.trec").write_text("not a run\n")
    list(write_metrics(root, params))
    assert [(root / path).read_bytes() for path in paths] == before


def test_all_rankings_of_a_task_are_cut_at_one_depth(root: Path, tmp_path: Path) -> None:
    """An identity re-ranker keeps two of BM25's three documents: both are measured on two."""
    write_run(root / layout.BM25_RUNS / "test.trec", ranking(q1="bca", q2="ade", q4="b"), tag="test")
    for name in ("test.trec", "test.interpolated.trec"):
        path = root / layout.runs("reranking", "lora", 13) / name
        write_run(path, ranking(q1="bc", q2="ad", q4="b"), tag="test")
    params = make_params(
        tmp_path,
        variants={"retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13, 14], "reranker": [13]},
        measures={"retrieval": ["RR"], "reranking": ["RR", "AP", "nDCG@2"]},
        reranking={"depth": 2, "keep": 2},
    )
    list(write_metrics(root, params))
    found = metrics(root, "reranking")
    assert found["bm25"] == found["lora"] == found["lora+bm25"] == {"RR": 0.0, "AP": 0.0, "nDCG@2": 0.0}
    assert metrics(root, "retrieval")["bm25"] == {"RR": round(1 / 3 / 3, 4)}


def test_spread_and_comparisons_are_those_of_the_per_query_table(root: Path, params: Params) -> None:
    list(write_metrics(root, params))
    table = per_query(root, params)
    compared = comparisons(table, families(variants(root, params), params))
    for path, expected in ((layout.SPREAD, spread(table)), (layout.COMPARISONS, compared)):
        pd.testing.assert_frame_equal(pd.read_csv(root / path, sep="\t"), expected)
    # By hand, RR@2 of lora: 1/3 with one seed and 1/6 with the other.
    (line,) = spread(table)[lambda lines: (lines.row == "lora") & (lines.measure == "RR@2")].to_dict(
        "records"
    )
    assert (line["mean"], line["sd"]) == (0.25, round(1 / 6 / 2**0.5, 6))


def test_a_run_that_is_missing_is_named_and_no_metrics_are_written(root: Path, params: Params) -> None:
    missing = root / layout.runs("retrieval", "lora", 14) / "test.trec"
    missing.unlink()
    with pytest.raises(PeftirError) as caught:
        list(write_metrics(root, params))
    assert str(caught.value).startswith(f"{missing}: no such run file")
    assert [path.name for path in (root / "metrics").iterdir()] == ["training"]


def test_a_training_that_is_missing_is_named(root: Path, params: Params) -> None:
    (root / layout.training("reranker", "lora", 13)).unlink()
    with pytest.raises(PeftirError, match=r"lora-13\.json: not found; run the stage 'train_reranker'"):
        list(write_metrics(root, params))
    assert not (root / layout.PER_QUERY).exists()


def test_a_damaged_line_is_named(root: Path, params: Params) -> None:
    path = root / layout.runs("reranking", "lora", 13) / "test.trec"
    path.write_text(path.read_text().replace("q2 Q0 c 2", "q2 c 2"))
    with pytest.raises(PeftirError, match=r"reranking/lora-13/test\.trec:5: 5 columns, expected the 6"):
        per_query(root, params)
