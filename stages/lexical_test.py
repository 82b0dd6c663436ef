"""Rank the documents for a test set's queries without a model, with what was selected on the study's dev."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.lexical import rank_test_lexically
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Write the run."""
    example = "python stages/lexical_test.py --test scifact --lexical bm25_tuned"
    args = stage_arguments(__doc__, example, per_test=True, per_lexical=True)
    with measured(ROOT / layout.resources("lexical_test", f"{args.test}-{args.lexical}", None)):
        rank_test_lexically(ROOT, load_params(), args.test, args.lexical)
    print(f"{layout.of(args.test, layout.runs('retrieval', args.lexical, None))} has the run")


if __name__ == "__main__":
    main()
