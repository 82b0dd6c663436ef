"""Rank the documents for the train queries with a retriever, for negatives."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.mine import mine
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the ranking."""
    args = stage_arguments(__doc__, "python stages/mine.py --mining first", per_mining=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("mine", args.mining)):
        count = mine(ROOT, params, args.mining)
    print(f"{layout.negatives(f'mining/{args.mining}')}: {count} queries")


if __name__ == "__main__":
    main()
