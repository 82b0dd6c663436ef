"""Re-rank the candidates for a test set's queries with an untrained backbone, once for all seeds."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.rerank_test import rerank_test
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the runs."""
    example = "python stages/untrained_reranker_test.py --test scifact --variant zero_shot"
    args = stage_arguments(__doc__, example, per_test=True, per_variant=True)
    params = load_params()
    use_threads(params.threads)
    launch(rerank, (params, args.test, args.variant), params.reranking.processes, "reranking.processes")


def rerank(params: Params, test: str, variant: str) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("untrained_reranker_test", f"{test}-{variant}", None)):
        rerank_test(ROOT, params, test, variant, None)
    print(f"{layout.of(test, layout.runs('reranking', variant, None))} has the runs")


if __name__ == "__main__":
    main()
