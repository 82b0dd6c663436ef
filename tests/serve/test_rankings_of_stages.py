"""What is served are the rankings of the stages' run files, for every test query and every model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from served_study import QUERIES, RERANKERS, RETRIEVERS, SEEDS, TEST_SET

from peftir.ranking.fusion import reciprocal_rank_fusion
from peftir.ranking.runs import Hits, read_run
from peftir.serve.engine import Engine
from peftir.serve.judged_queries import OWN
from peftir.serve.shared_backbone import SharedBackbone
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import PeftirError

ROUNDING = 1e-5
"""Scores of a query differ by this much with the other queries of its batch: equal ones may change places.

Float32 has 6e-8, which the weights of this backbone enlarge some ten times in each of the two layers.
"""

RUNS = {
    "bm25": layout.BM25_RUNS,
    "zero_shot": layout.runs("retrieval", "zero_shot", None),
    **{f"{v}-{s}": layout.runs("retrieval", v, s) for v in RETRIEVERS for s in SEEDS},
    **{f"bm25/{v}": layout.runs("reranking", v, 13) for v in RERANKERS},
}


def assert_same(found: Hits, expected: Hits) -> None:
    """The same documents with the same scores, in the same order."""
    scores = dict(expected)
    assert len(found) == len(expected)
    for (id, score), (_, wanted) in zip(found, expected, strict=True):
        assert score == pytest.approx(scores[id], abs=1e-4)
        assert abs(scores[id] - wanted) <= ROUNDING * max(1, abs(wanted)), f"{id} is at another's rank"


@pytest.mark.parametrize("chain", RUNS)
def test_a_ranking_is_that_of_the_run_file(engine: Engine, served_study: Path, chain: str) -> None:
    run = read_run(served_study / RUNS[chain] / "test.trec")
    assert len(run) == QUERIES["test"]
    for query, text in engine.judged.sets[OWN].items():
        assert_same(engine.rank(engine.chains.parse(chain), text), run[query])


@pytest.mark.parametrize(
    ("chain", "run"), [("bm25", layout.BM25_RUNS), ("lora-13", layout.runs("retrieval", "lora", 13))]
)
def test_the_queries_of_a_test_set_on_the_same_documents_have_its_rankings(
    engine: Engine, served_study: Path, chain: str, run: Path
) -> None:
    assert list(engine.judged.sets) == [OWN, f"{OWN} of {TEST_SET}"]
    expected = read_run(served_study / layout.of(TEST_SET, run) / "test.trec")
    for query, text in engine.judged.sets[f"{OWN} of {TEST_SET}"].items():
        answer = engine.search(engine.chains.parse(chain), text, 1000)
        assert_same(answer.ranking, expected[query])
        judged = {result.id: result.grade for result in answer.results if result.grade is not None}
        assert set(judged.values()) <= {2} and answer.relevant is not None


def test_models_rank_differently_and_switching_back_is_exact(engine: Engine) -> None:
    text = next(iter(engine.judged.sets[OWN].values()))
    first = {chain: engine.rank(engine.chains.parse(chain), text) for chain in RUNS}
    assert len({str(hits) for hits in first.values()}) == len(RUNS)
    for chain in reversed(RUNS):
        assert engine.rank(engine.chains.parse(chain), text) == first[chain]


def test_all_adapters_share_the_weights_of_one_backbone(engine: Engine, served_study: Path) -> None:
    shared = SharedBackbone(served_study, engine.params)
    models = [shared.model(engine.chains.retrievers[key]) for key in ("lora-13", "zero_shot")]
    models.append(shared.model(engine.chains.rerankers["iaa_l-13"]))
    addresses = [model[0].model.get_input_embeddings().weight.data_ptr() for model in models]
    assert len(set(addresses)) == 1


def test_the_fusion_is_that_of_the_two_rankings(engine: Engine) -> None:
    for text in engine.judged.sets[OWN].values():
        both = [engine.rank(engine.chains.parse(chain), text) for chain in ("bm25", "lora-14")]
        fused = engine.rank(engine.chains.parse("rrf:lora-14"), text)
        assert fused == reciprocal_rank_fusion(both)
        reranked = engine.rank(engine.chains.parse("rrf:lora-14/full"), text)
        assert {id for id, _ in reranked} == {id for id, _ in fused[: engine.params.reranking.keep]}


def test_a_query_s_own_document_is_left_out_as_in_the_stages(engine: Engine) -> None:
    text = engine.judged.sets[OWN]["d5"]
    for chain in ("bm25", "lora", "rrf:full", "bm25/full"):
        assert "d5" not in dict(engine.rank(engine.chains.parse(chain), text))
    # The test set's source does not say that its queries are documents.
    text_of_d9 = engine.judged.sets[f"{OWN} of {TEST_SET}"]["d9"]
    assert engine.rank(engine.chains.parse("bm25"), text_of_d9)[0][0] == "d9"
    # The same words, but not the test query.
    assert engine.rank(engine.chains.parse("bm25"), f"{text} ")[0][0] == "d5"


def test_judgements_are_those_of_the_test_query(engine: Engine) -> None:
    qrels = engine.collection.qrels("test")
    for query, text in engine.judged.sets[OWN].items():
        answer = engine.search(engine.chains.parse("lora"), text, 1000)
        graded = {result.id: result.grade for result in answer.results if result.grade is not None}
        assert graded.items() <= qrels[query].items()
        assert answer.relevant == [result.rank for result in answer.results if result.grade]
    assert engine.search(engine.chains.parse("bm25"), "bab", 5).relevant is None


def test_a_model_of_another_backbone_is_refused(engine: Engine, served_study: Path) -> None:
    manifest = served_study / layout.model("retriever", "bitfit", 14) / "manifest.json"
    before = manifest.read_text(encoding="utf-8")
    manifest.write_text(before.replace('"model.safetensors": "', '"model.safetensors": "0'), encoding="utf-8")
    fresh = Engine(served_study, engine.params)
    try:
        with pytest.raises(
            PeftirError, match=r"bitfit-14: .*another backbone.*dvc repro train_retriever@bit"
        ):
            fresh.rank(fresh.chains.parse("bitfit-14"), "bab")
        assert fresh.rank(fresh.chains.parse("bitfit-13"), "bab")  # the others still answer
    finally:
        fresh.close()
        manifest.write_text(before, encoding="utf-8")


def test_a_study_without_models_is_searched_with_bm25_and_one_without_an_index_is_not(
    served_study: Path, tmp_path: Path
) -> None:
    params = load_params(served_study / "params.yaml")
    shutil.copytree(served_study / "data", tmp_path / "data")
    engine = Engine(tmp_path, params)
    assert (engine.chains.first_stages(), engine.chains.rerankers) == (["bm25"], {})
    assert engine.rank(engine.chains.parse("bm25"), "bab")
    engine.close()
    (tmp_path / "data" / "bm25").rename(tmp_path / "elsewhere")
    with pytest.raises(PeftirError, match=r"data/bm25: no such Lucene index; make it first \(dvc repro\)$"):
        Engine(tmp_path, params)
