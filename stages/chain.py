"""Re-rank what a chain's first stages rank: a retriever, BM25, or both fused."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.chain import rerank_first_stages
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.seeds import Seed
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the runs."""
    example = "python stages/chain.py --retriever lora-13 --variant iaa_l --seed 13"
    args = stage_arguments(__doc__, example, per_retriever=True, per_model=True)
    params = load_params()
    use_threads(params.threads)
    work = (params, args.retriever, args.variant, args.seed)
    launch(rerank, work, params.reranking.processes, "reranking.processes")


def rerank(params: Params, retriever: str, variant: str, seed: Seed) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("chain", f"{retriever}-{variant}", seed)):
        names = rerank_first_stages(ROOT, params, retriever, variant, seed)
    print(f"{layout.chain(retriever, variant, seed)} has the runs of {', '.join(names)}")


if __name__ == "__main__":
    main()
