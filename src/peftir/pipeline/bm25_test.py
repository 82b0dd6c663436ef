"""BM25 on a test set: a row of its results, and the candidates of the re-rankers."""

from __future__ import annotations

from pathlib import Path

from peftir.pipeline.bm25 import index_words, rank_by_words
from peftir.pipeline.corpus import corpus_of
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.files import remove


def rank_test_by_words(root: Path, params: Params, test: str) -> int:
    """Write BM25's run for the queries of ``test``; gives their number.

    The study's own documents are indexed already. Another index is of no use once the run is written.
    """
    corpus = corpus_of(root, test)
    if corpus is not None:
        index_words(root, params, corpus)
    count = rank_by_words(root, params, "test", test, corpus)
    if corpus is not None:
        remove(root / layout.of(corpus, layout.BM25_INDEX))
    return count
