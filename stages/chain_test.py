"""Re-rank what a chain's first stages rank for a test set's queries: a retriever, BM25, or both fused."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.chain_test import chain_test
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.seeds import Seed
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the runs."""
    example = "python stages/chain_test.py --test scifact --retriever lora-13 --variant iaa_l --seed 13"
    args = stage_arguments(__doc__, example, per_test=True, per_retriever=True, per_model=True)
    params = load_params()
    use_threads(params.threads)
    work = (params, args.test, args.retriever, args.variant, args.seed)
    launch(rerank, work, params.reranking.processes, "reranking.processes")


def rerank(params: Params, test: str, retriever: str, variant: str, seed: Seed) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("chain_test", f"{test}-{retriever}-{variant}", seed)):
        names = chain_test(ROOT, params, test, retriever, variant, seed)
    print(f"{layout.of(test, layout.chain(retriever, variant, seed))} has the runs of {', '.join(names)}")


if __name__ == "__main__":
    main()
