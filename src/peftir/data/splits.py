"""Assign queries to splits that a source does not define, by a hash of the query's id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from peftir.data.collection import SPLITS
from peftir.data.content import Again, Judgement
from peftir.data.hashing import point

JudgementsBySplit = dict[str, Iterable[Judgement]]


class HeldOut(Again[Judgement]):
    """Dev judgements held out from the source's train split."""


def complete(found: Mapping[str, Iterable[Judgement]], shares: Mapping[str, float]) -> JudgementsBySplit:
    """Complete the splits of a source.

    Without ``test``, ``dev`` becomes the test split, as for MS MARCO, whose test judgements are not public.
    Without ``dev``, the share ``dev / (train + dev)`` of the train queries is held out.

    Args:
        found: judgements by split, each iterable more than once.
        shares: ``collection.splits``.
    """
    qrels = dict(found)
    if "test" not in qrels and "dev" in qrels:
        qrels["test"] = qrels.pop("dev")
    if "train" in qrels and "dev" not in qrels:
        train = qrels["train"]
        # Both are 0 where only test is read, of a source of any kind.
        share = shares["dev"] / (shares["train"] + shares["dev"] or 1)
        qrels["train"] = _chosen(train, lambda query: point(f"dev {query}") >= share)
        qrels["dev"] = HeldOut(_chosen(train, lambda query: point(f"dev {query}") < share).read)
    return {split: qrels[split] for split in SPLITS if split in qrels}


def divide(judgements: Iterable[Judgement], shares: Mapping[str, float]) -> JudgementsBySplit:
    """Divide judgements without splits, iterable more than once, into splits by ``shares``."""

    def judgements_of(split: str) -> Again[Judgement]:
        return _chosen(judgements, lambda query: split_of(query, shares) == split)

    return {split: judgements_of(split) for split in SPLITS}


def pool(found: Mapping[str, Iterable[Judgement]]) -> JudgementsBySplit:
    """Merge the judgements of all splits into ``test``, for a cross-validation."""
    return {"test": Again(lambda: chain.from_iterable(found.values()))}


def sampled(judgements: Iterable[Judgement], share: float) -> Again[Judgement]:
    """The judgements of about ``share`` of the queries, by a hash of their ids.

    The sample is nested: a smaller share takes some of the queries of a larger one.
    """
    return _chosen(judgements, lambda query: _is_sampled(query, share))


@dataclass(frozen=True)
class Folds:
    """A cross-validation: the number of folds, and the dev share of the queries outside of a test fold.

    With a ``train_share`` below 1, a fold's train queries are sampled as in :func:`sampled`, and the others
    are in none of its splits.
    """

    count: int
    dev: float
    train_share: float = 1

    @classmethod
    def of(cls, count: int, shares: Mapping[str, float], train_share: float = 1) -> Folds:
        """``count`` folds, with ``dev / (train + dev)`` of ``shares`` as dev."""
        return cls(count, shares["dev"] / (shares["train"] + shares["dev"]), train_share)

    def splits(self, queries: Iterable[str]) -> list[dict[str, str]]:
        """The split of each query that has one, by fold; every query is in ``test`` in exactly one fold.

        Queries are assigned to folds in turn, in the order of a hash of their ids, so fold sizes differ by at
        most one. The dev queries of a fold, at least one, are the first by another hash.
        """
        shuffled = sorted(queries, key=lambda query: (point(f"fold {query}"), query))
        return [self._fold(shuffled, fold) for fold in range(1, self.count + 1)]

    def _fold(self, shuffled: list[str], fold: int) -> dict[str, str]:
        tested = set(shuffled[fold - 1 :: self.count])
        untested = [query for query in shuffled if query not in tested]
        untested.sort(key=lambda query: (point(f"dev of fold {fold} {query}"), query))
        dev = set(untested[: max(1, round(self.dev * len(untested)))])
        return {
            query: "test" if query in tested else "dev" if query in dev else "train"
            for query in sorted(shuffled)
            if query in tested or query in dev or _is_sampled(query, self.train_share)
        }


def sizes(split_of: Mapping[str, str]) -> dict[str, int]:
    """The number of queries in each split of a fold."""
    return {split: sum(other == split for other in split_of.values()) for split in SPLITS}


def split_of(name: str, shares: Mapping[str, float]) -> str:
    """The split of a query, by the hash of ``name`` and the ``shares`` of the splits."""
    position = point(f"split {name}")
    edge = 0.0
    for split in SPLITS:
        edge += shares.get(split, 0.0)
        if position < edge:
            return split
    return max(SPLITS, key=lambda split: shares.get(split, 0.0))  # the sum is just below 1


def _is_sampled(query: str, share: float) -> bool:
    return point(f"train share {query}") < share


def _chosen(judgements: Iterable[Judgement], belongs: Callable[[str], bool]) -> Again[Judgement]:
    return Again(lambda: (row for row in judgements if belongs(row.query)))
