"""Rank documents for a test set's queries with a trained retriever; its own ones are encoded first."""

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
    example = "python stages/retrieve_test.py --test scifact --variant lora --seed 13"
    args = stage_arguments(__doc__, example, per_test=True, per_model=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("retrieve_test", f"{args.test}-{args.variant}", args.seed)):
        retrieve_test(ROOT, params, args.test, args.variant, args.seed)
    runs = layout.runs("retrieval", args.variant, args.seed)
    print(f"{layout.of(args.test, runs)} has the run")


if __name__ == "__main__":
    main()
