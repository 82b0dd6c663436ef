"""Train a bi-encoder with one method and keep its best step on dev."""

from __future__ import annotations

from common import ROOT, learning_curve, stage_arguments
from peftir.pipeline.train_retriever import train_retriever
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.seeds import Seed
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, rank


@exits_cleanly
def main() -> None:
    """Train one retriever."""
    args = stage_arguments(
        __doc__, "python stages/train_retriever.py --variant lora --seed 13", per_model=True
    )
    params = load_params()
    use_threads(params.threads)
    launch(train, (params, args.variant, args.seed), params.retriever.processes, "retriever.processes")


def train(params: Params, variant: str, seed: Seed) -> None:
    """What each process of the training does; the first writes what it took, and the learning curve."""
    if rank() > 0:
        train_retriever(ROOT, params, variant, seed, lambda point: None)
        return
    with (
        measured(ROOT / layout.resources("train_retriever", variant, seed)) as figures,
        learning_curve("retriever", variant, seed, params.retriever.selected_by) as on_point,
    ):
        figures |= train_retriever(ROOT, params, variant, seed, on_point)


if __name__ == "__main__":
    main()
