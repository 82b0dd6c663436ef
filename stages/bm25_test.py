"""Rank the documents for a test set's queries with BM25; documents of its own are indexed first."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.bm25_test import rank_test_by_words
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Make the candidates."""
    args = stage_arguments(__doc__, "python stages/bm25_test.py --test scifact", per_test=True)
    with measured(ROOT / layout.resources("bm25_test", args.test)):
        count = rank_test_by_words(ROOT, load_params(), args.test)
    print(f"{layout.of(args.test, layout.BM25_RUNS)}/test.trec: {count} queries")


if __name__ == "__main__":
    main()
