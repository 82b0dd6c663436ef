"""Which candidates of a query may be its negatives: down to a depth, without likely relevant documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peftir.ranking.candidates import Candidates
from peftir.system.errors import PeftirError


@dataclass(frozen=True)
class NegativeSelection:
    """How far down a ranking negatives are sampled, and what is left out at its top.

    A candidate that scores nearly as high as the relevant document is likely to be relevant itself.
    Positive-aware mining leaves it out (TopK-PercPos and TopK-MarginPos of NV-Retriever, de Souza Moreira et
    al. 2024, arXiv 2407.15831).

    Attributes:
        depth: the number of candidates, from the top of the ranking; ``None`` for all.
        skip: the number of candidates at the top that are left out; relevant documents do not count.
        max_score_ratio: candidates are left out from this share of the relevant document's score on.
        min_score_margin: candidates are left out whose score is not lower by more than this.
    """

    depth: int | None = None
    skip: int = 0
    max_score_ratio: float | None = None
    min_score_margin: float | None = None

    @property
    def by_score(self) -> bool:
        """Whether it depends on scores."""
        return self.max_score_ratio is not None or self.min_score_margin is not None

    @property
    def settings(self) -> dict[str, int | float]:
        """The settings that leave candidates out, by key."""
        given = {
            "negatives_skip": self.skip or None,
            "max_score_ratio": self.max_score_ratio,
            "min_score_margin": self.min_score_margin,
        }
        return {key: value for key, value in given.items() if value is not None}

    def left_out(self, candidates: Candidates, query: str, known: list[int], positive: int) -> set[int]:
        """The candidates of ``query`` that are left out beside the relevant document ``positive``.

        Args:
            candidates: with scores, if the selection is by score.
            query: the query's id.
            known: documents that are no negatives in any case.
            positive: a document among ``known``.
        """
        if not self.skip and not self.by_score:
            return set()
        numbers = candidates.of(query)
        others = ~np.isin(numbers, known)
        left_out = set(numbers[others][: self.skip].tolist())
        if self.by_score:
            [score] = scores_of(candidates, query, (positive,))
            close = others & (candidates.scores_of(query) >= self._limit(score))
            left_out.update(numbers[close].tolist())
        return left_out

    def _limit(self, positive: float) -> float:
        """The score from which on a candidate is left out; it is below ``positive`` whatever its sign."""
        limits = [positive]
        if self.max_score_ratio is not None:
            limits.append(positive - (1 - self.max_score_ratio) * abs(positive))
        if self.min_score_margin is not None:
            limits.append(positive - self.min_score_margin)
        return min(limits)


ALL = NegativeSelection()


def scores_of(candidates: Candidates, query: str, documents: tuple[int, ...]) -> list[float]:
    """The scores of ``documents`` for ``query``, in their order.

    Raises:
        PeftirError: a document is not among the query's candidates.
    """
    scores = dict(zip(candidates.of(query).tolist(), candidates.scores_of(query).tolist(), strict=True))
    try:
        return [scores[document] for document in documents]
    except KeyError:
        raise PeftirError(
            f"negatives_from: the ranking of query '{query}' lacks a document that is judged relevant; run "
            "the stage that writes the ranking again"
        ) from None
