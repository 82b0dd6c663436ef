"""Rank documents for a test set's queries with the untrained backbone, once for all seeds."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.retrieve_test import retrieve_test
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the run."""
    example = "python stages/untrained_test.py --test scifact --variant zero_shot"
    args = stage_arguments(__doc__, example, per_test=True, per_variant=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("untrained_test", f"{args.test}-{args.variant}", None)):
        retrieve_test(ROOT, params, args.test, args.variant, None)
    runs = layout.runs("retrieval", args.variant, None)
    print(f"{layout.of(args.test, runs)} has the run")


if __name__ == "__main__":
    main()
