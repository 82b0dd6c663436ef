"""Training batches: who is sampled, who never is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest

from peftir.ranking.candidates import Candidates
from peftir.system.errors import PeftirError
from peftir.training.examples import Batches, Sampler, dev_sample

QRELS = {f"q{i}": {f"d{i}": 1} for i in range(6)}
RUN = {f"q{i}": [(f"d{j}", 10.0 - j) for j in range(6)] for i in range(6)}


@dataclass(frozen=True)
class Named:
    """An example with ids for numbers."""

    query: str
    positive: str
    negatives: tuple[str, ...]


def draw(
    qrels=QRELS, run=RUN, *, steps=4, batch_size=3, negatives=2, depth=5, seed=1, own_documents=False
) -> list[list[Named]]:
    candidates = Candidates.of_run(run, depth)
    sampler = Sampler(
        qrels, candidates, negatives=negatives, key="reranker.negatives", own_documents=own_documents
    )
    ids = sampler.documents.to_pylist()
    return [
        [Named(e.query, ids[e.positive], tuple(ids[number] for number in e.negatives)) for e in batch]
        for batch in Batches(sampler, steps, batch_size, seed)
    ]


def draw_plainly(qrels, run, *, steps, batch_size, negatives, depth, seed, own_documents):
    """The same in the plainest way: lists of ids, all of them in memory."""
    relevant = {query: [doc for doc, grade in docs.items() if grade > 0] for query, docs in qrels.items()}
    queries = [query for query, docs in relevant.items() if docs]
    random = np.random.default_rng(seed)
    pool = list(dict.fromkeys(doc for ranking in run.values() for doc, _ in ranking[:depth]))
    order = (queries[i] for _ in iter(int, 1) for i in random.permutation(len(queries)))

    def example(query: str) -> Named:
        positive = relevant[query][random.integers(len(relevant[query]))]
        barred = {*relevant[query], query} if own_documents else set(relevant[query])
        taken = [doc for doc, _ in run.get(query, [])[:depth] if doc not in barred]
        chosen = [taken[i] for i in random.permutation(len(taken))[:negatives]]
        if len(chosen) < negatives:
            others = [doc for doc in pool if doc not in barred and doc not in chosen]
            chosen += [others[i] for i in random.permutation(len(others))[: negatives - len(chosen)]]
        return Named(query, positive, tuple(chosen))

    return [[example(next(order)) for _ in range(batch_size)] for _ in range(steps)]


@pytest.mark.parametrize("own_documents", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_examples_are_those_that_plain_lists_of_ids_give(seed: int, own_documents: bool) -> None:
    random = np.random.default_rng(seed)
    ids = [f"d{i}" for i in range(30)]
    qrels = {id: {doc: int(random.integers(3)) for doc in random.choice(ids, 3)} for id in ids[:20]}
    run = {
        id: [
            (str(doc), float(-rank)) for rank, doc in enumerate(random.permutation(ids)[: random.integers(9)])
        ]
        for id in random.permutation(ids)[:20].tolist()
    }
    settings = {"steps": 20, "batch_size": 3, "negatives": 4, "depth": 6, "seed": seed}
    expected = draw_plainly(qrels, run, **settings, own_documents=own_documents)
    assert draw(qrels, run, **settings, own_documents=own_documents) == expected


def test_batches_are_drawn_alike_each_time_and_none_is_kept() -> None:
    sampler = Sampler(
        QRELS, Candidates.of_run(RUN, 5), negatives=2, key="reranker.negatives", own_documents=False
    )
    few, many = (Batches(sampler, steps, 3, seed=1) for steps in (50, 100_000))
    assert list(few) == list(few) == list(islice(many, 50))
    assert (len(few), len(many)) == (50, 100_000)


def test_batches_have_the_size_asked_for_and_pairs_that_are_relevant() -> None:
    batches = draw()
    assert [len(batch) for batch in batches] == [3, 3, 3, 3]
    for batch in batches:
        for example in batch:
            assert example.positive == "d" + example.query[1:]
            assert len(set(example.negatives)) == 2


def test_a_negative_is_never_judged_relevant_and_lies_within_the_depth() -> None:
    qrels = {"q0": {"d0": 1, "d1": 2, "d2": 0}}
    seen = {doc for batch in draw(qrels, steps=50, batch_size=1) for e in batch for doc in e.negatives}
    # d1 is relevant, d2 is judged not relevant, d5 lies below the depth of 5.
    assert seen == {"d2", "d3", "d4"}
    assert {e.positive for batch in draw(qrels, steps=50, batch_size=1) for e in batch} == {"d0", "d1"}


def test_every_query_comes_once_before_any_comes_again() -> None:
    order = [e.query for batch in draw(steps=4, batch_size=3) for e in batch]
    assert sorted(order[:6]) == sorted(order[6:]) == sorted(QRELS)


def test_the_same_arguments_give_the_same_batches_and_another_seed_others() -> None:
    assert draw() == draw()
    assert draw(seed=2) != draw()


def test_a_short_ranking_is_filled_up_from_the_others() -> None:
    run = {"q0": [("d0", 1.0)], "q1": [("d3", 2.0), ("d4", 1.0)]}
    (batch,) = draw({"q0": {"d0": 1}}, run, steps=1, batch_size=1)
    assert sorted(batch[0].negatives) == ["d3", "d4"]


def test_too_few_negatives_and_no_relevant_document_are_errors() -> None:
    with pytest.raises(
        PeftirError, match=r"^reranker\.negatives: 5: the candidates have at most 1 documents"
    ):
        draw({"q0": {"d0": 1}}, {"q0": [("d0", 2.0), ("d1", 1.0)]}, negatives=5)
    with pytest.raises(PeftirError, match=r"qrels/train.tsv: no query has a relevant document"):
        draw({"q0": {"d0": 0}})


def test_the_dev_sample_holds_judged_queries_and_does_not_follow_their_order() -> None:
    qrels = {f"q{i}": {"d": i % 2} for i in range(40)}
    sample = dev_sample(qrels, 10)
    assert len(sample) == 10
    assert all(int(query[1:]) % 2 for query in sample)
    assert sample == dev_sample(dict(reversed(qrels.items())), 10)
    with pytest.raises(PeftirError, match=r"qrels/dev.tsv"):
        dev_sample({"q": {"d": 0}}, 3)


def test_a_query_s_own_document_is_no_negative() -> None:
    qrels = {"d1": {"d0": 1}, "d5": {"d0": 1}}
    run = {"d1": [("d1", 2.0), ("d2", 1.0)], "d5": [("d5", 2.0), ("d3", 1.0)]}

    def negatives(own: bool) -> set[tuple[str, str]]:
        batches = draw(qrels, run, steps=40, batch_size=1, negatives=2, own_documents=own)
        return {(e.query, document) for batch in batches for e in batch for document in e.negatives}

    # Each query needs two: one is left of its own ranking, the other comes from the other's.
    assert negatives(own=True) == {(q, d) for q in ("d1", "d5") for d in ("d1", "d2", "d3", "d5") if q != d}
    assert {("d1", "d1"), ("d5", "d5")} < negatives(own=False)
