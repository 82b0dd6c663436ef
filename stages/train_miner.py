"""Train a retriever that ranks documents for the train queries, for negatives."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.train_miner import train_miner
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, rank


@exits_cleanly
def main() -> None:
    """Train one retriever."""
    args = stage_arguments(__doc__, "python stages/train_miner.py --mining first", per_mining=True)
    params = load_params()
    use_threads(params.threads)
    launch(train, (params, args.mining), params.retriever.processes, "retriever.processes")


def train(params: Params, name: str) -> None:
    """What each process of the training does; the first writes what it took."""
    if rank() > 0:
        train_miner(ROOT, params, name)
        return
    with measured(ROOT / layout.resources("train_miner", name)) as figures:
        figures |= train_miner(ROOT, params, name)
    print(f"{layout.miner_paths(name).model} has the retriever")


if __name__ == "__main__":
    main()
