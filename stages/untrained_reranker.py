"""Re-rank the candidates with an untrained backbone that can score already, once for all seeds."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.untrained_reranker import rerank_untrained
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the model and the runs."""
    args = stage_arguments(
        __doc__, "python stages/untrained_reranker.py --variant zero_shot", per_variant=True
    )
    params = load_params()
    use_threads(params.threads)
    launch(rerank, (params, args.variant), params.reranking.processes, "reranking.processes")


def rerank(params: Params, variant: str) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("untrained_reranker", variant)) as figures:
        figures |= rerank_untrained(ROOT, params, variant)
    print(f"{layout.runs('reranking', variant, None)} has the runs")


if __name__ == "__main__":
    main()
