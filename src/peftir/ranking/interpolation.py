"""Ordering candidates by a re-ranker's scores, alone or mixed with the first stage's."""

from __future__ import annotations

from peftir.data.collection import Qrels
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Run, score_and_id

WEIGHTS = [round(0.05 * i, 2) for i in range(21)]


def rerank(candidates: Run, scores: Run) -> Run:
    """Order each query's scored candidates by ``scores``; those not scored keep their order below.

    Equal scores are ordered by descending document id, as in trec_eval. In the candidates' order a re-ranker
    that has collapsed, and gives all documents one score, would pass for the first stage.
    """
    return {
        query: _with_rest(sorted(scores[query], key=score_and_id, reverse=True), candidates[query])
        for query in candidates
    }


def interpolate(candidates: Run, scores: Run, weight: float) -> Run:
    """As :func:`rerank`, by ``weight`` · re-ranker + (1 − ``weight``) · first stage.

    Each query's scores are first brought to 0 … 1 (min-max) over the candidates that were scored.
    """
    mixed: Run = {}
    for query, ranking in candidates.items():
        first = _scaled(ranking[: len(scores[query])])
        second = _scaled(scores[query])
        mixed[query] = [(doc, weight * second[doc] + (1 - weight) * first[doc]) for doc, _ in scores[query]]
    return rerank(candidates, mixed)


def choose_weight(
    candidates: Run, scores: Run, qrels: Qrels, measure: str
) -> tuple[float, dict[float, float]]:
    """The weight of :func:`interpolate` that is best on dev's ``qrels``, and the ``measure`` of each tried.

    Of equally good weights the one nearest to the middle of them counts.
    """
    tried = {weight: mean_of(interpolate(candidates, scores, weight), qrels, measure) for weight in WEIGHTS}
    best = [weight for weight, value in tried.items() if value == max(tried.values())]
    return best[len(best) // 2], tried


def _scaled(ranking: list[tuple[str, float]]) -> dict[str, float]:
    low = min((score for _, score in ranking), default=0.0)
    span = max((score for _, score in ranking), default=0.0) - low
    return {doc: (score - low) / span if span else 0.0 for doc, score in ranking}


def _with_rest(
    scored: list[tuple[str, float]], candidates: list[tuple[str, float]]
) -> list[tuple[str, float]]:
    """``scored``, then the other ``candidates`` in their order with scores that go on falling."""
    done = {doc for doc, _ in scored}
    floor = scored[-1][1] if scored else 0.0
    rest = [doc for doc, _ in candidates if doc not in done]
    return scored + [(doc, floor - rank) for rank, doc in enumerate(rest, start=1)]
