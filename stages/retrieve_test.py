"""Rank documents for a test set's queries with a trained retriever; its own ones are encoded first."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.retrieve_test import retrieve_test
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.seeds import Seed
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the run."""
    example = "python stages/retrieve_test.py --test scifact --variant lora --seed 13"
    args = stage_arguments(__doc__, example, per_test=True, per_model=True)
    params = load_params()
    use_threads(params.threads)
    work = (params, args.test, args.variant, args.seed)
    launch(rank_documents, work, params.index.processes, "index.processes")


def rank_documents(params: Params, test: str, variant: str, seed: Seed) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("retrieve_test", f"{test}-{variant}", seed)):
        retrieve_test(ROOT, params, test, variant, seed)
    print(f"{layout.of(test, layout.runs('retrieval', variant, seed))} has the run")


if __name__ == "__main__":
    main()
