"""Rank the documents for the train queries with a retriever, for negatives."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.mine import mine
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the ranking."""
    args = stage_arguments(__doc__, "python stages/mine.py --mining first", per_mining=True)
    params = load_params()
    use_threads(params.threads)
    launch(mine_negatives, (params, args.mining), params.index.processes, "index.processes")


def mine_negatives(params: Params, name: str) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("mine", name)):
        count = mine(ROOT, params, name)
    print(f"{layout.negatives(f'mining/{name}')}: {count} queries")


if __name__ == "__main__":
    main()
