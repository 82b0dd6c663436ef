"""Re-rank candidates by a re-ranker's scores, alone or interpolated with the first stage's."""

from __future__ import annotations

from collections.abc import Callable

from peftir.data.collection import Qrels
from peftir.ranking.measures import mean_of
from peftir.ranking.runs import Run, score_and_id

WEIGHTS = [round(0.05 * i, 2) for i in range(21)]


def rerank(candidates: Run, scores: Run) -> Run:
    """Order each query's candidates by ``scores``; candidates without a score follow in their order.

    Ties are broken by descending document id, as in trec_eval. With the candidates' order, a collapsed
    re-ranker with equal scores would reproduce the first stage.
    """
    return {
        query: _with_rest(sorted(scores[query], key=score_and_id, reverse=True), candidates[query])
        for query in candidates
    }


def interpolate(candidates: Run, scores: Run, weight: float) -> Run:
    """Re-rank by ``weight`` · re-ranker + (1 − ``weight``) · first stage, like :func:`rerank`.

    Both scores are min-max normalized per query over the scored candidates.
    """
    mixed: Run = {}
    for query, ranking in candidates.items():
        first = normalized(ranking[: len(scores[query])])
        second = normalized(scores[query])
        mixed[query] = [(doc, weight * second[doc] + (1 - weight) * first[doc]) for doc, _ in scores[query]]
    return rerank(candidates, mixed)


def choose_weight(
    candidates: Run, scores: Run, qrels: Qrels, measure: str
) -> tuple[float, dict[float, float]]:
    """The best weight for :func:`interpolate` by ``measure`` on ``qrels``, and the value of each weight.

    Of equally good weights the middle one is chosen.
    """
    return best_weight(lambda weight: interpolate(candidates, scores, weight), qrels, measure)


def best_weight(
    run_with: Callable[[float], Run], qrels: Qrels, measure: str
) -> tuple[float, dict[float, float]]:
    """As :func:`choose_weight`, for the run that ``run_with`` gives for each weight."""
    tried = {weight: mean_of(run_with(weight), qrels, measure) for weight in WEIGHTS}
    best = [weight for weight, value in tried.items() if value == max(tried.values())]
    return best[len(best) // 2], tried


def normalized(ranking: list[tuple[str, float]]) -> dict[str, float]:
    """The scores of a ranking by document, min-max normalized; 0 if all are equal."""
    low = min((score for _, score in ranking), default=0.0)
    span = max((score for _, score in ranking), default=0.0) - low
    return {doc: (score - low) / span if span else 0.0 for doc, score in ranking}


def _with_rest(
    scored: list[tuple[str, float]], candidates: list[tuple[str, float]]
) -> list[tuple[str, float]]:
    """``scored``, followed by the other ``candidates`` in their order, with lower and descending scores."""
    done = {doc for doc, _ in scored}
    floor = scored[-1][1] if scored else 0.0
    rest = [doc for doc, _ in candidates if doc not in done]
    return scored + [(doc, floor - rank) for rank, doc in enumerate(rest, start=1)]
