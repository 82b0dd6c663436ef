"""Answers to queries: the chains of a study, with the functions that its stages rank by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from peftir.data.collection import Collection
from peftir.ranking.bm25 import opened
from peftir.ranking.fusion import reciprocal_rank_fusion
from peftir.ranking.runs import Hits, search_excluding_own
from peftir.report.explorer import Explorer
from peftir.serve.batching import Batcher
from peftir.serve.chains import Chain, Chains, ModelName
from peftir.serve.documents import Documents
from peftir.serve.judged_queries import JudgedQueries
from peftir.serve.snippets import Snippet, in_one_line, snippet
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError

QUERIES, PAIRS = 64, 80  # that a model is given together: more pairs would let other queries wait for seconds
TERMS = 100_000  # words whose terms are remembered
ANY = "a query"


@dataclass(frozen=True)
class Result:
    """A document in the answer to a query.

    Attributes:
        grade: the judgement of the document for the query; ``None`` if there is none.
    """

    rank: int
    score: float
    id: str
    title: str
    snippet: Snippet
    grade: int | None


@dataclass(frozen=True)
class SearchAnswer:
    """What a chain found for a query.

    Attributes:
        results: the first documents of the ranking, with what is shown of them.
        ranking: all documents that the chain ranked, best first.
        relevant: the ranks of the relevant documents; ``None`` if the query is not judged.
        seconds: from the query to the ranking, waiting for other queries included.
    """

    chain: Chain
    results: list[Result]
    ranking: Hits
    relevant: list[int] | None
    seconds: float


class Engine:
    """The study in ``root``, ready for queries from any number of threads.

    Rankings have the depths of the stages: ``bm25.depth``, ``retrieval.depth``, and ``reranking.keep`` of
    which the first ``reranking.depth`` are re-ranked. The first query to a model takes seconds longer,
    since libraries and backbone are loaded; :meth:`load_models` does that before.

    Raises:
        PeftirError: here and when a query is answered, an artefact of the study is missing or damaged.
    """

    def __init__(self, root: Path, params: Params) -> None:
        self._root = root
        self.params = params
        self.chains = Chains(root, params)
        self.collection = Collection(root / layout.COLLECTION)
        self.judged = JudgedQueries(root, params)
        self._documents = Documents(self.collection)
        self._open = ExitStack()
        bm25 = params.bm25
        self._bm25 = self._open.enter_context(opened(root / layout.BM25_INDEX, bm25.k1, bm25.b))
        most = {"retriever": QUERIES, "reranker": max(1, PAIRS // params.reranking.depth)}
        self._batcher = Batcher(self._run_model, lambda name: most[name.stage])
        self._open.callback(self._batcher.close)
        self._term_of = lru_cache(TERMS)(self._analysed)

    @property
    def is_evaluated(self) -> bool:
        """Whether the study has measures of its test queries."""
        return (self._root / layout.PER_QUERY).is_file()

    @cached_property
    def explorer(self) -> Explorer:
        """Measures, rankings and texts of all test queries, for the page that compares variants by query."""
        from peftir.pipeline.explorer import explorer

        return Explorer(explorer(self._root, self.params, most=None))

    def load_models(self, chains: Iterable[Chain]) -> None:
        """Load what ``chains`` need, so that later queries do not wait for it.

        A model that cannot be loaded is left to the query that needs it.
        """
        for chain in chains:
            with suppress(PeftirError):
                self.rank(chain, ANY)

    def close(self) -> None:
        """Answer what has been asked, then close the index of BM25."""
        self._open.close()

    def search(self, chain: Chain, text: str, depth: int) -> SearchAnswer:
        """The first ``depth`` documents that ``chain`` finds for the query ``text``."""
        started = time.perf_counter()
        ranking = self.rank(chain, text)
        seconds = time.perf_counter() - started
        judged = self.judged.get(text)
        grades = judged.grades if judged else {}
        relevant = [rank for rank, (id, _) in enumerate(ranking, start=1) if grades.get(id, 0) > 0]
        results = self._shown(text, ranking[:depth], grades)
        return SearchAnswer(chain, results, ranking, relevant if judged else None, seconds)

    def rank(self, chain: Chain, text: str) -> Hits:
        """The ranking of ``chain`` for the query ``text``, as deep as the stages'.

        A judged query is recognised by its text: its own document is left out where the stages do so.
        """
        judged = self.judged.get(text)
        own = judged.document if judged else ""
        rankings = []
        if chain.bm25:
            rankings.append(self._rank_by_words(own, text))
        if chain.retriever:
            rankings.append(self._batcher.submit(chain.retriever, (own, text)).result())
        ranking: Hits = rankings[0] if len(rankings) == 1 else reciprocal_rank_fusion(rankings)
        if chain.reranker:
            kept = ranking[: self.params.reranking.keep]
            ranking = self._batcher.submit(chain.reranker, (text, kept)).result()
        return ranking

    def _rank_by_words(self, own: str, text: str) -> Hits:
        rankings = search_excluding_own(
            lambda depth: [(own, self._bm25.best(text, depth))], self.params.bm25.depth, bool(own)
        )
        return next(rankings)[1]

    def _run_model(self, name: ModelName, items: list[Any]) -> list[Hits]:
        """What a model makes of several queries, in the batcher's thread."""
        return self._model_rankings(name, items)

    @cached_property
    def _model_rankings(self) -> Callable[[ModelName, list[Any]], list[Hits]]:
        # Imported when a model is first needed: until then, BM25 can answer.
        from peftir.serve.model_rankings import ModelRankings

        return ModelRankings(self._root, self.params, self._documents)

    def _shown(self, text: str, hits: Hits, grades: dict[str, int]) -> list[Result]:
        terms = set(self._bm25.terms(text))
        contents = self._documents.read([id for id, _ in hits])
        return [
            Result(
                rank,
                score,
                id,
                in_one_line(title) or id,
                snippet(content, terms, self._term_of),
                grades.get(id),
            )
            for rank, ((id, score), (title, content)) in enumerate(zip(hits, contents, strict=True), start=1)
        ]

    def _analysed(self, word: str) -> str:
        """The term of a single word; empty for a stop word."""
        return next(iter(self._bm25.terms(word)), "")
