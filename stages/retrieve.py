"""Rank the documents for dev's and test's queries with a trained retriever and its index."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.retrieve import retrieve
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the runs."""
    args = stage_arguments(__doc__, "python stages/retrieve.py --variant lora --seed 13", per_model=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("retrieve", args.variant, args.seed)):
        retrieve(ROOT, params, args.variant, args.seed)
    print(f"{layout.runs('retrieval', args.variant, args.seed)} has the runs")


if __name__ == "__main__":
    main()
