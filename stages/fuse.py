"""Fuse BM25's and a retriever's rankings of dev's and test's queries, by rank and by score."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.fuse import fuse
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Write the runs."""
    args = stage_arguments(__doc__, "python stages/fuse.py --retriever lora-13", per_retriever=True)
    with measured(ROOT / layout.resources("fuse", args.retriever)):
        weight = fuse(ROOT, load_params(), args.retriever)
    print(f"{layout.fusion(args.retriever)} has the runs; weight of the retriever: {weight}")


if __name__ == "__main__":
    main()
