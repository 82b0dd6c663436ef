"""Re-rank the candidates for a test set's queries with a trained re-ranker, alone and interpolated."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.rerank_test import rerank_test
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.seeds import Seed
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the runs."""
    example = "python stages/rerank_test.py --test scifact --variant lora --seed 13"
    args = stage_arguments(__doc__, example, per_test=True, per_model=True)
    params = load_params()
    use_threads(params.threads)
    work = (params, args.test, args.variant, args.seed)
    launch(rerank, work, params.reranking.processes, "reranking.processes")


def rerank(params: Params, test: str, variant: str, seed: Seed) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("rerank_test", f"{test}-{variant}", seed)):
        rerank_test(ROOT, params, test, variant, seed)
    print(f"{layout.of(test, layout.runs('reranking', variant, seed))} has the runs")


if __name__ == "__main__":
    main()
