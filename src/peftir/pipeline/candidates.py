"""A trained re-ranker on a first stage's candidates: their scores, and the runs that follow from these."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers import CrossEncoder

from peftir.data.collection import Collection
from peftir.data.texts import DocumentTexts
from peftir.models import saving
from peftir.pipeline.score import score_all
from peftir.ranking.interpolation import interpolate, rerank
from peftir.ranking.runs import Run, read_run, write_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed


class Reranker:
    """The re-ranker of a variant and seed.

    Args:
        root: the study's folder.
        params: the study's settings.
        variant: its variant.
        seed: its seed.
    """

    def __init__(self, root: Path, params: Params, variant: str, seed: Seed | None) -> None:
        self._given, self._precision = params.reranking, params.backbone.precision
        self._model = saving.load(CrossEncoder, root / layout.model("reranker", variant, seed), root)
        self._tag = layout.key(variant, seed)

    def score(self, queries: dict[str, str], ranking: Path, corpus: Collection) -> tuple[Run, Run]:
        """The candidates of each query, as they are in the run file ``ranking``, and the scores of the top.

        Args:
            queries: texts by id.
            ranking: the first stage's run.
            corpus: has the documents.
        """
        candidates = {query: hits[: self._given.keep] for query, hits in read_run(ranking, queries).items()}
        scored = {query: hits[: self._given.depth] for query, hits in candidates.items()}
        texts = DocumentTexts(corpus, [document for hits in scored.values() for document, _ in hits])
        return candidates, score_all(self._model, queries, scored, texts, self._precision)

    def write(
        self, folder: Path, split: str, candidates: Run, scores: Run, weight: float, first: str
    ) -> None:
        """Write the runs of ``split``: by the scores alone, and with ``weight`` beside those of ``first``."""
        write_run(folder / f"{split}.trec", rerank(candidates, scores), tag=self._tag)
        mixed = interpolate(candidates, scores, weight)
        write_run(folder / f"{split}.interpolated.trec", mixed, tag=f"{self._tag}+{first}")
