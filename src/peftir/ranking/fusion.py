"""Reciprocal rank fusion: several rankings of one query merged by their ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

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
