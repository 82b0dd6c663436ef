"""Index the documents with Lucene and rank them for every query with BM25."""

from __future__ import annotations

from functools import partial

from common import ROOT, stage_arguments
from peftir.data.collection import Collection
from peftir.ranking.bm25 import build_index, search
from peftir.ranking.runs import search_excluding_own, write_run
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Make the candidates."""
    stage_arguments(__doc__, "python stages/bm25.py")
    bm25 = load_params().bm25
    collection = Collection(ROOT / layout.COLLECTION)
    with measured(ROOT / layout.resources("bm25")):
        build_index(collection.texts(), ROOT / layout.BM25_INDEX, threads=bm25.threads)
        for split in ("train", "dev", "test"):
            # In cross-validation a query is in every split, each in another fold.
            queries = collection.queries("test" if collection.folds else split)
            depth = bm25.train_depth if split == "train" else bm25.depth
            rank = partial(search, ROOT / layout.BM25_INDEX, queries, bm25.k1, bm25.b, threads=bm25.threads)
            run = search_excluding_own(rank, depth, collection.own_documents)
            write_run(ROOT / layout.BM25_RUNS / f"{split}.trec", run, tag="bm25")
            print(f"{layout.BM25_RUNS}/{split}.trec: {len(queries)} queries")


if __name__ == "__main__":
    main()
