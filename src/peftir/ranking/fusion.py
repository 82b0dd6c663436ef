"""Fusion of several rankings of one query: by their ranks, or by their normalized scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from peftir.ranking.interpolation import normalized
from peftir.ranking.runs import Hits, score_and_id

K = 60  # the paper's constant


def reciprocal_rank_fusion(rankings: Iterable[Hits]) -> Hits:
    """All documents of ``rankings``, best first, each with the sum of 1 / (60 + rank) over the rankings.

    Ranks count from 1, and a ranking that lacks a document adds nothing to its score. Equal scores are
    ordered by descending document id. Cormack, Clarke and Buettcher 2009, "Reciprocal Rank Fusion outperforms
    Condorcet and individual Rank Learning Methods", section 2.
    """
    scores: defaultdict[str, float] = defaultdict(float)
    for hits in rankings:
        for rank, (document, _) in enumerate(hits, start=1):
            scores[document] += 1 / (K + rank)
    return sorted(scores.items(), key=score_and_id, reverse=True)


def interpolated_rankings(first: Hits, second: Hits, weight: float) -> Hits:
    """All documents of two rankings by ``weight`` · second + (1 − ``weight``) · first, best first.

    The scores of each ranking are min-max normalized; a document that a ranking lacks has 0 there, as its
    last. Equal scores are ordered by descending document id.
    """
    one, other = normalized(first), normalized(second)
    scores = {
        document: weight * other.get(document, 0.0) + (1 - weight) * one.get(document, 0.0)
        for document in one | other
    }
    return sorted(scores.items(), key=score_and_id, reverse=True)
