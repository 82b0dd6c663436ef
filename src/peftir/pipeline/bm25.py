"""BM25's index and rankings: the candidates of re-ranking, and where training's negatives come from."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from peftir.data.collection import Collection
from peftir.ranking.bm25 import build_index, search
from peftir.ranking.runs import search_excluding_own, write_run
from peftir.study import layout
from peftir.study.params import Params


def index_words(root: Path, params: Params, test: str | None = None) -> None:
    """Index the documents of the collection, or of the test set ``test``, with Lucene."""
    collection = Collection(root / layout.of(test, layout.COLLECTION))
    folder = root / layout.of(test, layout.BM25_INDEX)
    build_index(collection.texts(), folder, threads=params.bm25.threads)


def rank_by_words(
    root: Path, params: Params, split: str, test: str | None = None, corpus: str | None = None
) -> int:
    """Write BM25's run for the queries of ``split``; gives their number.

    Args:
        root: the study's folder.
        params: the study's settings.
        split: train, dev or test.
        test: the test set whose queries these are, if any.
        corpus: the test set whose documents are ranked; those of the collection if ``None``.
    """
    bm25, collection = params.bm25, Collection(root / layout.of(test, layout.COLLECTION))
    # In cross-validation a query is in every split, each in another fold.
    queries = collection.queries("test" if collection.folds else split)
    depth = bm25.train_depth if split == "train" else bm25.depth
    index = root / layout.of(corpus, layout.BM25_INDEX)
    rank = partial(search, index, queries, bm25.k1, bm25.b, threads=bm25.threads)
    run = search_excluding_own(rank, depth, collection.own_documents)
    write_run(root / layout.of(test, layout.BM25_RUNS) / f"{split}.trec", run, tag="bm25")
    return len(queries)
