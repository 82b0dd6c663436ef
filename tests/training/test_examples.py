"""Training batches: who is sampled, who never is."""

from __future__ import annotations

import pytest

from peftir.system.errors import PeftirError
from peftir.training.examples import dev_sample, sample_batches

QRELS = {f"q{i}": {f"d{i}": 1} for i in range(6)}
RUN = {f"q{i}": [(f"d{j}", 10.0 - j) for j in range(6)] for i in range(6)}


def draw(qrels=QRELS, run=RUN, **changes):
    settings = {
        "steps": 4,
        "batch_size": 3,
        "negatives": 2,
        "key": "reranker.negatives",
        "depth": 5,
        "seed": 1,
    } | changes
    return sample_batches(qrels, run, **settings)


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
    with pytest.raises(PeftirError, match=r"^reranker\.negatives: 5: BM25's lists hold only 1"):
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
