"""Index the documents with Lucene and rank them for every query with BM25."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.bm25 import index_words, rank_by_words
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Make the candidates."""
    stage_arguments(__doc__, "python stages/bm25.py")
    params = load_params()
    with measured(ROOT / layout.resources("bm25")):
        index_words(ROOT, params)
        for split in ("train", "dev", "test"):
            count = rank_by_words(ROOT, params, split)
            print(f"{layout.BM25_RUNS}/{split}.trec: {count} queries")


if __name__ == "__main__":
    main()
