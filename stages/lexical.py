"""Rank the documents for every query without a model: by BM25 with k1 and b selected on dev, or with RM3."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.lexical import rank_lexically
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Write the runs."""
    args = stage_arguments(__doc__, "python stages/lexical.py --lexical bm25_tuned", per_lexical=True)
    with measured(ROOT / layout.resources("lexical", args.lexical)):
        k1, b = rank_lexically(ROOT, load_params(), args.lexical)
    print(f"{layout.runs('retrieval', args.lexical, None)} has the runs, with k1 {k1:g} and b {b:g}")


if __name__ == "__main__":
    main()
