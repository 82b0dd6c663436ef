"""Re-rank BM25's candidates with an untrained backbone that can score already, once for all seeds."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.untrained_reranker import rerank_untrained
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the model and the runs."""
    args = stage_arguments(
        __doc__, "python stages/untrained_reranker.py --variant zero_shot", per_variant=True
    )
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("untrained_reranker", args.variant)) as figures:
        figures |= rerank_untrained(ROOT, params, args.variant)
    print(f"{layout.runs('retrieval', args.variant, None)} has the runs")


if __name__ == "__main__":
    main()
