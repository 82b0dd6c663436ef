"""Training examples: a query, a relevant document, and negatives sampled from a ranking."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from peftir.data.collection import Qrels
from peftir.ranking.candidates import Candidates
from peftir.system.errors import PeftirError
from peftir.training.selection import ALL, NegativeSelection, scores_of


@dataclass(frozen=True)
class Example:
    """A query's id, and the indices in :attr:`Sampler.documents` of a relevant document and of negatives."""

    query: str
    positive: int
    negatives: tuple[int, ...]

    @property
    def documents(self) -> tuple[int, ...]:
        """The relevant document, then the negatives."""
        return (self.positive, *self.negatives)


class Sampler:
    """Sampler of examples with hard negatives.

    The negatives of a query are sampled without replacement from its candidates, and if these are too few,
    from the candidates of all queries. Documents judged relevant are excluded and, with ``own_documents``,
    the document with the query's id; so are those that ``selection`` leaves out.

    Args:
        qrels: the judgements; grades above 0 are relevant.
        candidates: the candidates for negatives.
        negatives: the number of negatives per query.
        key: the key of ``negatives`` in ``params.yaml``, for errors.
        own_documents: see :attr:`peftir.data.collection.Collection.own_documents`.
        selection: which of the candidates can be drawn.
        scored: draw only examples whose documents all have a score, for :meth:`scores`. Queries with too few
            candidates are left out then, since other queries' candidates have no score.

    Attributes:
        documents: the ids of all documents that can be drawn.

    Raises:
        PeftirError: no query has a relevant document or, with ``scored``, enough candidates; or
            ``selection`` leaves out all candidates of all queries.
    """

    def __init__(
        self,
        qrels: Qrels,
        candidates: Candidates,
        *,
        negatives: int,
        key: str,
        own_documents: bool,
        selection: NegativeSelection = ALL,
        scored: bool = False,
    ) -> None:
        relevant = {query: [doc for doc, grade in docs.items() if grade > 0] for query, docs in qrels.items()}
        self._queries = [query for query, docs in relevant.items() if docs]
        if not self._queries:
            raise PeftirError(
                "qrels/train.tsv: no query has a relevant document (score above 0); training needs some"
            )
        self._candidates, self._negatives, self._key = candidates, negatives, key
        ids = pa.array(chain.from_iterable(relevant.values()), pa.string())
        new = ids.filter(pc.invert(pc.is_in(ids, candidates.documents))).unique()
        self.documents: pa.StringArray = pa.concat_arrays([candidates.documents, new])
        numbers = iter(pc.index_in(ids, self.documents).to_pylist())
        self._relevant = {query: tuple(next(numbers) for _ in docs) for query, docs in relevant.items()}
        self._own: dict[str, int | None] = {}
        if own_documents:
            own = pc.index_in(pa.array(self._queries, pa.string()), self.documents).to_pylist()
            self._own = dict(zip(self._queries, own, strict=True))
        self._selection, self._positives = selection, self._relevant
        if negatives and selection.settings and not any(self._eligible(*pair) for pair in self._pairs()):
            stage = key.partition(".")[0]
            given = ", ".join(f"{stage}.{name}: {value}" for name, value in selection.settings.items())
            raise PeftirError(
                f"{given}: leaves out all candidates of all queries, so that every negative would be another "
                f"query's; expected less, for the scores of {stage}.negatives_from"
            )
        if scored:
            self._positives = {
                query: tuple(
                    doc for doc in self._relevant[query] if len(self._eligible(query, doc)) >= negatives
                )
                for query in self._queries
            }
            self._queries = [query for query in self._queries if self._positives[query]]
            if not self._queries:
                raise self._too_few(negatives - 1)

    def excluded_negatives(self, query: str, positive: int) -> set[int]:
        """The documents that are never negatives of ``query`` beside the relevant document ``positive``."""
        own = self._own.get(query)
        known = [*self._relevant[query], *(() if own is None else (own,))]
        return self._selection.left_out(self._candidates, query, known, positive).union(known)

    def share_of_others(self) -> float:
        """The share of the negatives that come from other queries' candidates, as a query has too few."""
        shares: dict[str, list[float]] = {}
        for query, positive in self._pairs():
            own = min(len(self._eligible(query, positive)), self._negatives)
            shares.setdefault(query, []).append(1 - own / self._negatives)
        return float(np.mean([np.mean(each) for each in shares.values()])) if self._negatives else 0.0

    @property
    def selects(self) -> bool:
        """Whether candidates of a query are left out, beside those that are judged relevant."""
        return bool(self._selection.settings)

    def scores(self, example: Example) -> list[float]:
        """The candidates' scores of the documents of ``example``, the relevant one first."""
        return scores_of(self._candidates, example.query, example.documents)

    def draw(self, steps: int, batch_size: int, seed: int) -> Iterator[list[Example]]:
        """Yield a batch for each of ``steps``; equal arguments yield equal batches, for every method.

        The queries are shuffled in each epoch.

        Raises:
            PeftirError: a query has too few candidates for its negatives.
        """
        random = np.random.default_rng(seed)
        order = _in_random_order(self._queries, random)
        for _ in range(steps):
            yield [self._example(next(order), random) for _ in range(batch_size)]

    def _example(self, query: str, random: np.random.Generator) -> Example:
        relevant = self._positives[query]
        positive = relevant[random.integers(len(relevant))]
        candidates = self._eligible(query, positive)
        chosen = [candidates[i] for i in random.permutation(len(candidates))[: self._negatives]]
        if len(chosen) < self._negatives:
            excluded = self.excluded_negatives(query, positive)
            chosen += self._from_all(excluded.union(chosen), self._negatives - len(chosen), random)
        if len(chosen) < self._negatives:
            raise self._too_few(len(chosen))
        return Example(query, positive, tuple(chosen))

    def _pairs(self) -> Iterator[tuple[str, int]]:
        """Yield the queries with each of their relevant documents."""
        return ((query, positive) for query in self._queries for positive in self._positives[query])

    def _eligible(self, query: str, positive: int) -> list[int]:
        """The candidates of ``query`` that can be negatives beside ``positive``, best first."""
        excluded = self.excluded_negatives(query, positive)
        top = self._candidates.of(query)[: self._selection.depth].tolist()
        return [number for number in top if number not in excluded]

    def _too_few(self, found: int) -> PeftirError:
        return PeftirError(
            f"{self._key}: {self._negatives}: the candidates have at most {found} documents that can be "
            "negatives of a query; ask for fewer, leave out fewer candidates or take a larger collection"
        )

    def _from_all(self, excluded: set[int], count: int, random: np.random.Generator) -> list[int]:
        """Draw at most ``count`` of all queries' candidates, without those in ``excluded``."""
        pool = len(self._candidates.documents)
        skipped = sorted(number for number in excluded if number < pool)
        drawn: NDArray[np.int64] = random.permutation(pool - len(skipped))[:count]
        for number in skipped:
            drawn = drawn + (drawn >= number)
        return drawn.tolist()


@dataclass(frozen=True)
class Batches:
    """The batches of a training; each iteration draws the same ones, and none is kept in memory."""

    sampler: Sampler
    steps: int
    batch_size: int
    seed: int

    def __len__(self) -> int:
        """The number of batches."""
        return self.steps

    def __iter__(self) -> Iterator[list[Example]]:
        """Draw the batches."""
        return self.sampler.draw(self.steps, self.batch_size, self.seed)


def dev_sample(qrels: Qrels, count: int) -> list[str]:
    """Select at most ``count`` queries that have a relevant document, by a hash of their ids.

    Raises:
        PeftirError: no query has a relevant document.
    """
    judged = [query for query, docs in qrels.items() if any(grade > 0 for grade in docs.values())]
    if not judged:
        raise PeftirError(
            "qrels/dev.tsv: no query has a relevant document (score above 0); selection needs some"
        )
    return sorted(judged, key=lambda query: hashlib.sha256(query.encode()).hexdigest())[:count]


def _in_random_order(queries: list[str], random: np.random.Generator) -> Iterator[str]:
    """Yield ``queries`` forever, shuffled in each epoch."""
    while True:
        for position in random.permutation(len(queries)):
            yield queries[position]
