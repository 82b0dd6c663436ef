"""Which split judges a query, where a source leaves that open; always by a hash of the query's id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from peftir.collections.base import SPLITS
from peftir.collections.content import Again, Judgement
from peftir.collections.hashing import point

Qrels = dict[str, Iterable[Judgement]]


def complete(found: Mapping[str, Iterable[Judgement]], shares: Mapping[str, float]) -> Qrels:
    """The splits of a source, made of those that it comes with.

    A source without ``test`` is tested on its ``dev``, as MS MARCO is, whose test judgements are not public.
    Where training queries come without ``dev``, the share ``dev / (train + dev)`` of them is held out.

    Args:
        found: judgements by split, each readable more than once.
        shares: ``collection.splits``.
    """
    qrels = dict(found)
    if "test" not in qrels and "dev" in qrels:
        qrels["test"] = qrels.pop("dev")
    if "train" in qrels and "dev" not in qrels:
        train = qrels["train"]
        share = shares["dev"] / (shares["train"] + shares["dev"])
        qrels["train"] = _chosen(train, lambda query: point(f"dev {query}") >= share)
        qrels["dev"] = _chosen(train, lambda query: point(f"dev {query}") < share)
    return {split: qrels[split] for split in SPLITS if split in qrels}


def divide(judgements: Iterable[Judgement], shares: Mapping[str, float]) -> Qrels:
    """Judgements that come without splits, readable more than once, spread over the splits by ``shares``."""

    def of(split: str) -> Again[Judgement]:
        return _chosen(judgements, lambda query: split_of(query, shares) == split)

    return {split: of(split) for split in SPLITS}


def split_of(name: str, shares: Mapping[str, float]) -> str:
    """The split of a query by the hash of ``name``, with ``shares`` of the queries in each."""
    place = point(f"split {name}")
    edge = 0.0
    for split in SPLITS:
        edge += shares.get(split, 0.0)
        if place < edge:
            return split
    return max(SPLITS, key=lambda split: shares.get(split, 0.0))  # the sum is a hair below 1


def _chosen(judgements: Iterable[Judgement], belongs: Callable[[str], bool]) -> Again[Judgement]:
    return Again(lambda: (row for row in judgements if belongs(row.query)))
