"""Mined negatives, teachers and the losses that learn from them, by the stages' own functions.

A tiny collection with copies of the relevant documents under other ids, which no judgement names, and a tiny
random backbone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.learning.objective import objectives
from peftir.models import saving
from peftir.models.crossencoder import score
from peftir.pipeline.backbone import settle
from peftir.pipeline.mine import mine
from peftir.pipeline.teacher_scores import score_for_training
from peftir.pipeline.train_miner import _settings as miner_settings
from peftir.pipeline.train_miner import train_miner
from peftir.pipeline.train_reranker import train_reranker
from peftir.pipeline.train_retriever import train_retriever
from peftir.ranking.runs import read_run, write_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.training import TrainingParams
from peftir.system.errors import PeftirError
from peftir.training.data import TrainingData
from peftir.training.losses import kl_loss, margin_mse_loss
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

WORDS = [f"w{number}" for number in range(16)]
QUERIES = {f"q{number}": f"{word} {WORDS[number - 1]}" for number, word in enumerate(WORDS[:10])}
TRAIN, DEV = [f"q{number}" for number in range(6)], [f"q{number}" for number in range(6, 10)]
# What is relevant to a query of train is its own text; the copies are relevant as well, but not judged.
DOCUMENTS = {f"d{number}": f"{word} {WORDS[number - 1]}" for number, word in enumerate(WORDS)}
COPIES = {f"copy{number}": DOCUMENTS[f"d{number}"] for number in range(6)}
TEXTS = DOCUMENTS | COPIES
RATIO = 0.99


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    splits = {"train": TRAIN, "dev": DEV}
    content = Content(
        documents=[Document(id, "", text) for id, text in TEXTS.items()],
        qrels={split: [Judgement(q, f"d{q[1:]}", 1) for q in queries] for split, queries in splits.items()},
        queries=[Query(query, text) for query, text in QUERIES.items()],
        origin={"source": "test"},
    )
    write_collection(root / layout.COLLECTION, content)
    for split, queries in splits.items():
        # BM25 misses what is relevant and has three documents a query.
        run = {q: [(f"d{(int(q[1:]) + step) % 16}", float(-step)) for step in (3, 4, 5)] for q in queries}
        write_run(root / layout.BM25_RUNS / f"{split}.trec", run, tag="bm25")
    write_tiny_bert(root / "backbone", WORDS)
    settle(root, params_of(root))
    return root


def params_of(root: Path, **retriever: object) -> Params:
    rates = {"learning_rate": {"retriever": 0.05, "reranker": 0.05}}
    mined = {"seed": 13, "with_bm25": False, "depth": 12}
    scored = {"negatives_from": "mining/first", "depth": 8}
    return make_params(
        root,
        backbone={"name": str(root / "backbone")},
        methods={"lora": {"type": "lora", "rank": 2, **rates}},
        variants={"untrained": ["zero_shot"], "retriever": ["lora"], "reranker": ["lora"]},
        seeds={"retriever": [13], "reranker": [13]},
        mining={
            "first": {"variant": "zero_shot", "negatives_from": "bm25", **mined},
            "second": {"variant": "lora", "negatives_from": "mining/first", **mined, "depth": 5}
            | {"with_bm25": True},
        },
        teachers={
            "expert": {"scores": "models/reranker/lora-13", **scored},
            "file": {"scores": "scores.tsv", **scored},
        },
        retriever={
            "steps": 4,
            "batch_size": 3,
            "evaluate_every": 2,
            "query_length": 8,
            "document_length": 8,
            "negatives_depth": 3,
            "hard_negatives": 2,
            **retriever,
        },
        reranker={"steps": 4, "batch_size": 3, "evaluate_every": 2, "length": 12, "negatives_depth": 3},
        learning={"queries": {"retriever": 3, "reranker": 3}},
    )


@pytest.fixture(scope="module")
def mined(root: Path) -> Params:
    """The study with the first round's ranking."""
    params = params_of(root)
    train_miner(root, params, "first")
    assert mine(root, params, "first") == len(TRAIN)
    return params_of(
        root, negatives_from="mining/first", negatives_depth=12, max_score_ratio=RATIO, hard_negatives=2
    )


def similarities(root: Path, name: str) -> dict[str, dict[str, float]]:
    """Of each train query and all documents, by sentence-transformers' own encoding."""
    model = saving.load(SentenceTransformer, root / layout.miner_paths(name).model, root)
    documents = model.encode(list(TEXTS.values()))
    queries = model.encode([QUERIES[query] for query in TRAIN])
    return {
        query: dict(zip(TEXTS, row.tolist(), strict=True))
        for query, row in zip(TRAIN, queries @ documents.T, strict=True)
    }


def drawn(root: Path, settings: TrainingParams) -> dict[str, set[str]]:
    """The negatives of each query in many batches."""
    data = TrainingData.read(root, None, settings, negatives=2, key="retriever.hard_negatives")
    ids = data.sampler.documents.to_pylist()
    found: dict[str, set[str]] = {query: set() for query in TRAIN}
    for batch in data.sampler.draw(200, 6, seed=1):
        for example in batch:
            found[example.query].update(ids[number] for number in example.negatives)
    return found


def test_the_ranking_is_by_the_retrievers_similarity(root: Path, mined: Params) -> None:
    run, expected = read_run(root / layout.negatives("mining/first")), similarities(root, "first")
    assert list(run) == TRAIN
    for query, hits in run.items():
        values = expected[query]
        # Float32 in batches of other sizes: 1e-6 with similarities of at most 1.
        assert [score for _, score in hits] == pytest.approx([values[doc] for doc, _ in hits], abs=1e-5)
        assert len(hits) == 12 and min(score for _, score in hits) >= sorted(values.values())[-12] - 1e-5


def test_planted_copies_of_relevant_documents_are_left_out_and_nothing_else(
    root: Path, mined: Params
) -> None:
    values, run = similarities(root, "first"), read_run(root / layout.negatives("mining/first"))
    ranked = {query: {doc for doc, _ in run[query]} for query in TRAIN}
    copies = {query: {f"copy{query[1:]}"} for query in TRAIN}
    relevant = {query: {f"d{query[1:]}"} for query in TRAIN}
    for query in TRAIN:
        assert copies[query] <= ranked[query]
        others = ranked[query] - copies[query] - relevant[query]
        assert max(values[query][doc] for doc in others) < RATIO  # that of the relevant document is 1
    # In 200 batches with 2 of some 10 candidates, one is never drawn with a probability of 1e-19.
    assert drawn(root, mined.retriever) == {q: ranked[q] - copies[q] - relevant[q] for q in TRAIN}
    without = mined.retriever.model_copy(update={"max_score_ratio": None})
    assert drawn(root, without) == {q: ranked[q] - relevant[q] for q in TRAIN}
    # The same by a margin, and by the number of documents at the top.
    for change in ({"min_score_margin": 1 - RATIO}, {"negatives_skip": 1}):
        assert drawn(root, without.model_copy(update=change)) == drawn(root, mined.retriever)


def test_a_copy_is_no_negative_in_another_querys_place_in_the_batch_either(root: Path, mined: Params) -> None:
    data = TrainingData.read(root, None, mined.retriever, negatives=2, key="retriever.hard_negatives")
    ids = data.sampler.documents.to_pylist()
    excluded = data.sampler.excluded_negatives("q2", ids.index("d2"))
    assert {ids[number] for number in excluded} == {"d2", "copy2"}


def test_a_second_round_mines_with_the_first_rounds_retriever(root: Path, mined: Params) -> None:
    train_miner(root, mined, "second")
    mine(root, mined, "second")
    record = json.loads((root / layout.miner_paths("second").record).read_text())
    assert (record["type"], record["steps"]) == ("lora", 4)
    # It is the retriever that the study trains on the first round's negatives.
    train_retriever(root, mined, "lora", 13, lambda point: None)
    weights = [
        (root / folder / "adapter_model.safetensors").read_bytes()
        for folder in (layout.miner_paths("second").model, layout.model("retriever", "lora", 13))
    ]
    assert weights[0] == weights[1]
    run, values = read_run(root / layout.negatives("mining/second")), similarities(root, "second")
    for query in TRAIN:
        number = int(query[1:])
        ranking = sorted(TEXTS, key=values[query].__getitem__, reverse=True)
        bm25 = [f"d{(number + step) % 16}" for step in (3, 4, 5)]
        found = {doc for doc, _ in run[query]}
        assert {*ranking[:2], *bm25[:2], f"d{number}"} <= found <= {*ranking[:5], *bm25, f"d{number}"}
        assert len(found) == 5
    # BM25's documents are drawn, too, although the retriever ranks most of them lower than its own.
    settings = mined.retriever.model_copy(
        update={"negatives_from": "mining/second", "negatives_depth": 5, "max_score_ratio": None}
    )
    negatives = drawn(root, settings)
    of_bm25_alone = 0
    for query in TRAIN:
        ranking = sorted(TEXTS, key=values[query].__getitem__, reverse=True)
        expected = {f"d{(int(query[1:]) + step) % 16}" for step in (3, 4)}
        assert expected <= negatives[query]
        of_bm25_alone += len(expected - {*ranking[:6]})
    assert of_bm25_alone > 3


def test_a_filter_that_leaves_nothing_is_an_error_and_one_that_leaves_little_is_recorded(
    root: Path, mined: Params
) -> None:
    without = mined.retriever.model_copy(update={"max_score_ratio": None})
    for change, told in (
        ({"min_score_margin": 2.5}, "min_score_margin: 2.5"),
        (
            {"negatives_skip": 11, "min_score_margin": 0.5},
            "negatives_skip: 11, retriever.min_score_margin: 0.5",
        ),
    ):
        settings = without.model_copy(update=change)
        with pytest.raises(PeftirError, match=rf"^retriever\.{told}: leaves out all candidates of all queri"):
            TrainingData.read(root, None, settings, negatives=2, key="retriever.hard_negatives")
    # Of 12 documents, one is relevant and 10 are left out: one remains for two negatives.
    settings = without.model_copy(update={"negatives_skip": 10})
    train_retriever(root, mined.model_copy(update={"retriever": settings}), "lora", 13, lambda point: None)
    record = root / layout.training("retriever", "lora", 13)
    assert json.loads(record.read_text())["negatives_of_other_queries"] == 0.5
    plain = without.model_copy(update={"negatives_from": "bm25", "negatives_depth": 3})
    train_retriever(root, mined.model_copy(update={"retriever": plain}), "lora", 13, lambda point: None)
    assert "negatives_of_other_queries" not in json.loads(record.read_text())


def test_a_miner_on_another_ranking_leaves_nothing_out_by_the_retrievers_limits(
    root: Path, mined: Params
) -> None:
    given = params_of(root, negatives_from="mining/second", negatives_skip=4, negatives_depth=5)
    settings = miner_settings(given, given.mining["second"])
    assert (settings.negatives_from, settings.negatives_skip) == ("mining/first", 0)
    given = params_of(root, negatives_from="mining/first", negatives_skip=4, negatives_depth=5)
    assert miner_settings(given, given.mining["second"]).negatives_skip == 4


@pytest.fixture(scope="module")
def taught(root: Path, mined: Params) -> Params:
    """The study with the scores of a re-ranker as teacher."""
    train_reranker(root, mined, "lora", 13, lambda point: None)
    assert score_for_training(root, mined, "expert") == len(TRAIN)
    return params_of(root, negatives_from="teachers/expert", negatives_depth=8, loss="kl")


def test_a_re_ranker_scores_the_candidates_and_the_relevant_documents(root: Path, taught: Params) -> None:
    run, ranking = (read_run(root / layout.negatives(name)) for name in ("teachers/expert", "mining/first"))
    model = saving.load(CrossEncoder, root / layout.model("reranker", "lora", 13), root)
    for query in TRAIN:
        scored = {doc for doc, _ in ranking[query][:8]} | {f"d{query[1:]}"}
        assert {doc for doc, _ in run[query]} == scored
        expected = score(model, [(QUERIES[query], TEXTS[doc]) for doc, _ in run[query]], "float32")
        assert [value for _, value in run[query]] == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("loss", ["kl", "margin_mse"])
def test_the_analysed_loss_is_the_one_that_is_trained(root: Path, taught: Params, loss: str) -> None:
    params = taught.model_copy(update={"retriever": taught.retriever.model_copy(update={"loss": loss})})
    train_retriever(root, params, "lora", 13, lambda point: None)
    found = objectives(root, params, "retriever", None)("lora", 13).loss().item()

    data = TrainingData.read(root, None, params.retriever, negatives=2, key="retriever.hard_negatives")
    [batch] = data.sampler.draw(1, 3, params.learning.seed)
    model = saving.load(SentenceTransformer, root / layout.model("retriever", "lora", 13), root)
    ids, teacher = data.sampler.documents.to_pylist(), read_run(root / layout.negatives("teachers/expert"))
    student, targets = [], []
    for example in batch:
        documents = [ids[number] for number in example.documents]
        vectors = model.encode([TEXTS[document] for document in documents])
        student.append(vectors @ model.encode(QUERIES[example.query]) / params.retriever.temperature)
        targets.append([dict(teacher[example.query])[document] for document in documents])
    scores, expected = torch.tensor(np.array(student)), torch.tensor(targets)
    by_hand = (
        kl_loss(scores, expected)
        if loss == "kl"
        else margin_mse_loss(scores, expected, torch.zeros(3, dtype=torch.long))
    )
    # Float32's similarities over 0.05 are right to 2e-5. The derivative of kl is at most 1, that of
    # margin_mse twice the difference of margins, which are 40 at most.
    assert found == pytest.approx(by_hand.item(), rel=0, abs=4e-5 if loss == "kl" else 4e-3)
    assert found > 0.1


def test_scores_in_a_file_are_those_of_the_re_ranker(root: Path, taught: Params) -> None:
    run = read_run(root / layout.negatives("teachers/expert"))
    lines = [f"{query}\t{doc}\t{score}\n" for query, hits in run.items() for doc, score in hits]
    (root / "scores.tsv").write_text("".join(reversed(lines)))
    score_for_training(root, taught, "file")
    assert read_run(root / layout.negatives("teachers/file")) == run
    (root / "scores.tsv").write_text("".join(lines[1:]))
    with pytest.raises(
        PeftirError, match=r"scores\.tsv: has no score of the document '\w+' for the query 'q0'"
    ):
        score_for_training(root, taught, "file")


def test_a_teacher_that_is_no_re_ranker_of_peftir_is_a_line(root: Path, mined: Params) -> None:
    plain = root / "plain"
    CrossEncoder(str(root / "backbone"), num_labels=1).save_pretrained(str(plain))
    retriever = shutil.copytree(root / layout.miner_paths("first").model, root / "starts/first")
    for folder in (plain, retriever):
        teacher = mined.teachers["expert"].model_copy(update={"scores": str(folder.relative_to(root))})
        params = mined.model_copy(update={"teachers": {"expert": teacher}})
        message = (
            rf"^teachers\.expert\.scores: '{teacher.scores}': expected a re-ranker that peftir saved, or"
        )
        with pytest.raises(PeftirError, match=message):
            score_for_training(root, params, "expert")


def test_queries_with_too_few_scored_documents_are_left_out(root: Path, taught: Params) -> None:
    path = root / layout.negatives("teachers/expert")
    run = read_run(path)
    short = Collection(root / layout.COLLECTION).queries("train").keys() & {"q3"}
    write_run(path, {q: [h for h in hits if q not in short or h[0] == "d3"] for q, hits in run.items()}, "t")
    settings = taught.retriever
    data = TrainingData.read(root, None, settings, negatives=2, key="retriever.hard_negatives")
    queries = {example.query for batch in data.sampler.draw(10, 6, seed=1) for example in batch}
    assert queries == {*TRAIN} - short
    with pytest.raises(PeftirError, match=r"^retriever\.hard_negatives: 9: the candidates have at most"):
        TrainingData.read(root, None, settings, negatives=9, key="retriever.hard_negatives")
    write_run(path, run, "t")


def test_an_unknown_name_is_one_line(root: Path, mined: Params) -> None:
    with pytest.raises(PeftirError, match=r"^mining\.third: not in params\.yaml; .* mining: first, second$"):
        mine(root, mined, "third")
    with pytest.raises(PeftirError, match=r"^teachers\.none: not in .* teachers: expert, file$"):
        score_for_training(root, mined, "none")
