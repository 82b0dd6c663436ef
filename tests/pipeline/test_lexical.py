"""Rankings without a model: k1 and b that dev selects, and RM3, through the stages' own functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.splits import Folds
from peftir.data.writing import write_collection
from peftir.pipeline.bm25 import index_words
from peftir.pipeline.evaluate import rankings, unpooled
from peftir.pipeline.lexical import rank_lexically, rank_test_lexically
from peftir.pipeline.prepare_test import prepare_test
from peftir.ranking.bm25 import build_index, search
from peftir.ranking.rm3 import Expansion, search_expanded
from peftir.ranking.runs import read_run
from peftir.statistics.comparisons import comparisons
from peftir.study import layout
from peftir.study.params import Params
from synthetic_study import make_params

# Of each animal a long document that repeats it and a short one: b = 0 puts the long one first, b = 1 the
# short one (tests/ranking/test_bm25.py works that out).
ANIMALS = ("cat", "dog", "cow", "owl", "bee", "ant")
DOCUMENTS = {f"long-{animal}": f"{animal} {animal} bird fish bird fish" for animal in ANIMALS}
DOCUMENTS |= {f"short-{animal}": f"{animal} zebra" for animal in ANIMALS}
SPLITS = {"train": ANIMALS[:1], "dev": ANIMALS[1:3], "test": ANIMALS[3:]}
TUNED = {"type": "bm25", "k1": [0.9, 1.5], "b": [0.0, 0.4, 1.0], "selected_by": "RR@10"}
RM3 = {"type": "rm3", "feedback_terms": 5, "feedback_documents": 2, "query_weight": 0.5}


def write(root: Path, length: dict[str, str], folds: int | None = None) -> None:
    """A collection where the documents of ``length``, by split, are the relevant ones."""
    splits = {"test": ANIMALS} if folds else SPLITS
    content = Content(
        documents=[Document(name, "", text) for name, text in DOCUMENTS.items()],
        qrels={
            split: [Judgement(animal, f"{length[split]}-{animal}", 1) for animal in animals]
            for split, animals in splits.items()
        },
        queries=[Query(animal, animal) for animal in ANIMALS],
        origin={"source": "by hand"},
    )
    write_collection(root / layout.COLLECTION, content, folds=Folds(folds, 0.3) if folds else None)


def params_of(folder: Path, **changes: Any) -> Params:
    return make_params(folder, lexical={"tuned": TUNED, "rm3": RM3}, **changes)


@pytest.mark.parametrize(("length", "b"), [("long", 0.0), ("short", 1.0)])
def test_dev_selects_the_parameters_and_the_test_judgements_are_not_read(
    tmp_path: Path, length: str, b: float
) -> None:
    other = {"long": "short", "short": "long"}[length]
    write(tmp_path, {"train": other, "dev": length, "test": other})
    params = params_of(tmp_path)
    index_words(tmp_path, params)
    (tmp_path / layout.COLLECTION / "qrels/test.tsv").write_text("no judgements")
    assert rank_lexically(tmp_path, params, "tuned") == (0.9, b)  # k1: the first of equally good ones
    record = json.loads((tmp_path / layout.lexical("tuned")).read_text())
    assert {(line["k1"], line["b"]) for line in record["dev"]} == {
        (k1, b) for k1 in TUNED["k1"] for b in TUNED["b"]
    }
    means = {line["b"]: line["mean"] for line in record["dev"] if line["k1"] == 0.9}
    assert (means[b], means[1.0 - b]) == (1.0, 0.5)
    queries = Collection(tmp_path / layout.COLLECTION).queries("test")
    expected = dict(search(tmp_path / layout.BM25_INDEX, queries, 0.9, b, params.bm25.depth, 1))
    run = read_run(tmp_path / layout.runs("retrieval", "tuned", None) / "test.trec")
    assert {q: [d for d, _ in hits] for q, hits in run.items()} == {
        q: [d for d, _ in hits] for q, hits in expected.items()
    }
    assert [hits[0][0] for hits in run.values()] == [f"{length}-{animal}" for animal in SPLITS["test"]]


def test_each_fold_ranks_with_what_its_own_dev_queries_select(tmp_path: Path) -> None:
    write(tmp_path, {"test": "short"}, folds=2)
    params = params_of(
        tmp_path, collection={"folds": 2}, seeds={"retriever": ["13f1", "13f2"], "reranker": ["13f1", "13f2"]}
    )
    index_words(tmp_path, params)
    assert rank_lexically(tmp_path, params, "tuned") == (0.9, 1.0)
    record = json.loads((tmp_path / layout.lexical("tuned")).read_text())
    assert record["folds"] == [{"k1": 0.9, "b": 1.0}] * 2
    run = read_run(tmp_path / layout.runs("retrieval", "tuned", None) / "test.trec")
    assert {query: hits[0][0] for query, hits in run.items()} == {a: f"short-{a}" for a in ANIMALS}


def test_a_test_set_is_ranked_with_what_was_selected_and_leaves_no_index(tmp_path: Path) -> None:
    write(tmp_path, {"train": "long", "dev": "long", "test": "short"})
    far = tmp_path / "far"
    (far / "qrels").mkdir(parents=True)
    texts = {"d1": "cat cat bird fish bird fish", "d2": "cat zebra", "d3": "yak"}
    (far / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in texts.items())
    )
    (far / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "cat"}) + "\n")
    (far / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td2\t1\n")
    params = params_of(tmp_path, tests={"far": {"source": f"beir:{far}"}})
    index_words(tmp_path, params)
    prepare_test(tmp_path, params, "far")
    for name in ("tuned", "rm3"):
        rank_lexically(tmp_path, params, name)
        rank_test_lexically(tmp_path, params, "far", name)
    run = read_run(tmp_path / "runs/tests/far/retrieval/tuned/test.trec")
    assert [document for document, _ in run["q"]] == ["d1", "d2"]  # b = 0, though short is relevant here
    assert read_run(tmp_path / "runs/tests/far/retrieval/rm3/test.trec").keys() == {"q"}
    assert not list(tmp_path.rglob("data/**/lexical/*"))


def test_rm3_expands_with_the_settings_of_its_block_and_bm25s(tmp_path: Path) -> None:
    write(tmp_path, {"train": "long", "dev": "long", "test": "short"})
    params = params_of(tmp_path)
    index_words(tmp_path, params)
    rank_lexically(tmp_path, params, "rm3")
    build_index(DOCUMENTS.items(), tmp_path / "index", 1, term_vectors=True)
    queries = Collection(tmp_path / layout.COLLECTION).queries("test")
    expected = search_expanded(tmp_path / "index", queries, 0.9, 0.4, 1000, 1, Expansion(5, 2, 0.5))
    run = read_run(tmp_path / layout.runs("retrieval", "rm3", None) / "test.trec")
    for query, hits in expected:
        assert [document for document, _ in run[query]] == [document for document, _ in hits]
    assert json.loads((tmp_path / layout.lexical("rm3")).read_text()) == {"k1": 0.9, "b": 0.4}


def test_lexical_rankings_do_not_change_the_tests_of_trained_variants(tmp_path: Path) -> None:
    """Nor does a second untrained variant: the error over seeds is not a mean with theirs, which is none."""
    variants = {"untrained": ["zero_shot"], "retriever": ["full", "lora"]}
    seeds = {"retriever": [13, 14, 15], "reranker": [13]}
    plain = make_params(tmp_path, variants=variants, seeds=seeds)
    another = plain.model_dump()["methods"] | {"another": {"type": "zero_shot"}}
    more = params_of(
        tmp_path,
        variants=variants | {"untrained": ["zero_shot", "another"], "untrained_reranker": ["zero_shot"]},
        methods={"another": another["another"]},
        seeds=seeds,
    )
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {"stage": "retrieval", "row": row, "seed": seed, "query": query, "measure": "RR@10"}
        | {"value": random.random()}
        for row in (row.name for row in more.rows("retrieval"))
        for seed in ([13, 14, 15] if row in ("full", "lora") else [-1])
        for query in range(10)
    )
    added = {"tuned", "rm3", "another"}
    less = table[~table["row"].isin(added)]
    assert unpooled(plain) == {"retrieval": [], "reranking": []}
    assert unpooled(more) == {
        "retrieval": ["tuned", "rm3", "another"],
        "reranking": ["zero_shot", "zero_shot+bm25"],
    }
    found = comparisons(table, {}, unpooled(more))
    found = found[~(found["row"].isin(added) | found["other"].isin(added))]
    columns = ["row", "other", "difference", "low", "high", "two_level"]
    expected = comparisons(less, {}, unpooled(plain))
    assert found[columns].to_dict("records") == expected[columns].to_dict("records")


def test_a_query_is_not_expanded_by_its_own_document(tmp_path: Path) -> None:
    """As in ArguAna, where each query is a document: its rare words would rank first what has these."""
    documents = {"q": "cat rare", "a": "cat feline", "rare": "rare", "other": "feline"}
    documents |= {f"filler{number}": f"dog bird{number}" for number in range(40)}
    write_collection(
        tmp_path / layout.COLLECTION,
        Content(
            documents=[Document(name, "", text) for name, text in documents.items()],
            qrels={split: [Judgement(query, "a", 1)] for split, query in (("dev", "p"), ("test", "q"))},
            queries=[Query("p", "cat"), Query("q", "cat")],
            origin={"source": "by hand"},
        ),
        own_documents=True,
    )
    rank_lexically(tmp_path, params_of(tmp_path), "rm3")
    runs = tmp_path / layout.runs("retrieval", "rm3", None)
    found = {
        split: [document for document, _ in read_run(runs / f"{split}.trec")[query]]
        for split, query in (("dev", "p"), ("test", "q"))
    }
    assert set(found["dev"]) == {"q", "a", "rare", "other"}  # p is no document, and both of cat's expand it
    assert found["test"] == ["a", "other"]


def test_they_are_rows_of_retrieval_after_bm25(tmp_path: Path) -> None:
    params = params_of(tmp_path)
    assert [row.name for row in params.rows("retrieval")][:3] == ["bm25", "tuned", "rm3"]
    assert [row.title for row in params.rows("retrieval")][:3] == ["BM25", "tuned", "rm3"]
    paths = {ranking.row.name: ranking.runs for ranking in rankings(params) if ranking.task == "retrieval"}
    assert paths["tuned"] == {None: Path("runs/retrieval/tuned/test.trec")}
    assert [row.name for row in params.rows("reranking")][:2] == ["bm25", "full"]
