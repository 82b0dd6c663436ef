"""BM25 with query expansion by RM3, by the Anserini version that Pyserini contains.

RM3 (Abdul-Jaleel et al. 2004, "UMass at TREC 2004: Novelty and HARD", section 2.2) takes the top documents of
a query for relevant, estimates a relevance model from their terms, interpolates it with the query's own terms
and searches again. The index has to have term vectors (:func:`peftir.ranking.bm25.build_index`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.ranking.bm25 import Bm25Index, opened, ranked
from peftir.ranking.jvm import java_class
from peftir.ranking.runs import Hits

OUTPUT_QUERY, FILTER_TERMS = False, True  # as Pyserini's set_rm3 has them


@dataclass(frozen=True)
class Expansion:
    """How a query is expanded.

    Attributes:
        terms: number of expansion terms.
        documents: number of feedback documents.
        weight: of the original query beside the relevance model, from 0 to 1.
    """

    terms: int
    documents: int
    weight: float


def search_expanded(
    folder: Path,
    queries: dict[str, str],
    k1: float,
    b: float,
    depth: int,
    threads: int,
    expansion: Expansion,
    own_documents: bool = False,
) -> Iterator[tuple[str, Hits]]:
    """Yield hits as :func:`peftir.ranking.bm25.search`, of the queries expanded by ``expansion``.

    With ``own_documents``, a document with a query's id is that query, and not one that expands it.

    Raises:
        PeftirError: the index is missing or damaged.
    """
    with opened(folder, k1, b) as index:
        yield from ranked(Rm3Index(index, expansion, own_documents).best, queries, depth, threads)


class Rm3Index:
    """An open index with term vectors, for expanded queries; several threads may search in it."""

    def __init__(self, index: Bm25Index, expansion: Expansion, own_documents: bool) -> None:
        self._index, self._feedback, self._own_documents = index, expansion.documents, own_documents
        self._context = java_class("io.anserini.rerank.RerankerContext")
        self._arguments = java_class("io.anserini.search.SearchCollection$Args")
        self._rm3 = java_class("io.anserini.rerank.lib.Rm3Reranker")(
            index.analyzer,
            None,
            "contents",
            expansion.terms,
            expansion.documents,
            expansion.weight,
            OUTPUT_QUERY,
            FILTER_TERMS,
        )

    def best(self, id: str, text: str, depth: int) -> Hits:
        """The ``depth`` top hits of the query ``text`` after its expansion."""
        arguments: Any = self._arguments()
        arguments.hits = depth
        query = self._index.query(text)
        others = self._index.without(query, id) if self._own_documents else query
        # Anserini's cutoff is no limit of its own: it is only what its command line fetches.
        found = self._index.documents(others, max(arguments.rerankcutoff, self._feedback))
        tokens = self._index.tokens(text)
        context = self._context(self._index.searcher, None, query, None, text, tokens, None, arguments)
        return self._index.hits(self._rm3.rerank(found, context))
