"""Re-rank the candidates with a trained re-ranker: its scores alone, and interpolated with theirs."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.rerank import rerank_candidates
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.seeds import Seed
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the runs."""
    args = stage_arguments(__doc__, "python stages/rerank.py --variant lora --seed 13", per_model=True)
    params = load_params()
    use_threads(params.threads)
    launch(rerank, (params, args.variant, args.seed), params.reranking.processes, "reranking.processes")


def rerank(params: Params, variant: str, seed: Seed) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("rerank", variant, seed)):
        weight = rerank_candidates(ROOT, params, variant, seed)
    print(f"{layout.runs('reranking', variant, seed)} has the runs; weight of the re-ranker: {weight}")


if __name__ == "__main__":
    main()
