"""What a model is trained on: for each query a relevant document and some that are not judged relevant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from peftir.data.collection import Qrels
from peftir.ranking.runs import Run
from peftir.system.errors import PeftirError


@dataclass(frozen=True)
class Example:
    """Ids of a query, one document relevant to it, and negatives sampled from a run."""

    query: str
    positive: str
    negatives: tuple[str, ...]

    @property
    def documents(self) -> tuple[str, ...]:
        """The relevant document, then the negatives."""
        return (self.positive, *self.negatives)


def sample_batches(
    qrels: Qrels,
    run: Run,
    *,
    steps: int,
    batch_size: int,
    negatives: int,
    key: str,
    depth: int,
    seed: int,
    own_documents: bool = False,
) -> list[list[Example]]:
    """Draw all of training's batches; they follow from the arguments alone, so every method gets the same.

    Queries come in a fresh random order each time all of them have been used. A query's negatives are sampled
    without replacement from the first ``depth`` documents of its ranking, never one judged relevant or, with
    ``own_documents``, one with the query's id; a query whose ranking is too short is filled up from other
    queries' rankings.

    Args:
        key: the setting that ``negatives`` comes from, for whoever has to change it.

    Returns:
        ``steps`` lists of ``batch_size`` examples.

    Raises:
        PeftirError: no query has a relevant document.
    """
    relevant = {query: [doc for doc, grade in docs.items() if grade > 0] for query, docs in qrels.items()}
    queries = [query for query, docs in relevant.items() if docs]
    if not queries:
        raise PeftirError(
            "qrels/train.tsv: no query has a relevant document (score above 0); training needs some"
        )
    random = np.random.default_rng(seed)
    pool = list(dict.fromkeys(doc for ranking in run.values() for doc, _ in ranking[:depth]))
    order = _in_random_order(queries, random)

    def example(query: str) -> Example:
        positive = relevant[query][random.integers(len(relevant[query]))]
        barred = {*relevant[query], query} if own_documents else set(relevant[query])
        taken = [doc for doc, _ in run.get(query, [])[:depth] if doc not in barred]
        return Example(query, positive, tuple(_sample(taken, pool, barred, negatives, random, key)))

    return [[example(next(order)) for _ in range(batch_size)] for _ in range(steps)]


def dev_sample(qrels: Qrels, count: int) -> list[str]:
    """At most ``count`` queries that have a relevant document, chosen by a hash of their ids.

    Raises:
        PeftirError: there is none.
    """
    judged = [query for query, docs in qrels.items() if any(grade > 0 for grade in docs.values())]
    if not judged:
        raise PeftirError(
            "qrels/dev.tsv: no query has a relevant document (score above 0); selection needs some"
        )
    return sorted(judged, key=lambda query: hashlib.sha256(query.encode()).hexdigest())[:count]


def _in_random_order(queries: list[str], random: np.random.Generator) -> Iterator[str]:
    while True:
        for position in random.permutation(len(queries)):
            yield queries[position]


def _sample(
    candidates: list[str],
    pool: list[str],
    barred: set[str],
    count: int,
    random: np.random.Generator,
    key: str,
) -> list[str]:
    """``count`` of ``candidates``, filled up from ``pool`` if there are too few."""
    chosen = [candidates[i] for i in random.permutation(len(candidates))[:count]]
    if len(chosen) < count:
        others = [doc for doc in pool if doc not in barred and doc not in chosen]
        chosen += [others[i] for i in random.permutation(len(others))[: count - len(chosen)]]
    if len(chosen) < count:
        raise PeftirError(
            f"{key}: {count}: BM25's lists hold only {len(chosen)} documents that are not relevant to a "
            "query; ask for fewer negatives or take a larger collection"
        )
    return chosen
