"""Fuse BM25's and a retriever's rankings of a test set's queries, by rank and by score."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.fuse_test import fuse_test
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Write the runs."""
    example = "python stages/fuse_test.py --test scifact --retriever lora-13"
    args = stage_arguments(__doc__, example, per_test=True, per_retriever=True)
    with measured(ROOT / layout.resources("fuse_test", f"{args.test}-{args.retriever}")):
        fuse_test(ROOT, load_params(), args.test, args.retriever)
    print(f"{layout.of(args.test, layout.fusion(args.retriever))} has the runs")


if __name__ == "__main__":
    main()
