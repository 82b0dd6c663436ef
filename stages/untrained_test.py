"""Rank documents for a test set's queries with the untrained backbone, once for all seeds."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.retrieve_test import retrieve_test
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the run."""
    example = "python stages/untrained_test.py --test scifact --variant zero_shot"
    args = stage_arguments(__doc__, example, per_test=True, per_variant=True)
    params = load_params()
    use_threads(params.threads)
    launch(untrained_test, (params, args.test, args.variant), params.index.processes, "index.processes")


def untrained_test(params: Params, test: str, variant: str) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("untrained_test", f"{test}-{variant}", None)):
        retrieve_test(ROOT, params, test, variant, None)
    print(f"{layout.of(test, layout.runs('retrieval', variant, None))} has the run")


if __name__ == "__main__":
    main()
