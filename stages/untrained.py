"""Index the documents with the untrained backbone and rank them for every query, once for all seeds."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.untrained import rank_untrained
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the model, the index and the runs."""
    args = stage_arguments(__doc__, "python stages/untrained.py --variant zero_shot", per_variant=True)
    params = load_params()
    use_threads(params.threads)
    launch(untrained, (params, args.variant), params.index.processes, "index.processes")


def untrained(params: Params, variant: str) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("untrained", variant)) as figures:
        figures |= rank_untrained(ROOT, params, variant)
    print(f"{layout.runs('retrieval', variant, None)} has the runs")


if __name__ == "__main__":
    main()
