"""Encode the documents with a trained retriever into a faiss index."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.index import index_documents
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.seeds import Seed
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Index the documents."""
    args = stage_arguments(__doc__, "python stages/index.py --variant lora --seed 13", per_model=True)
    params = load_params()
    use_threads(params.threads)
    launch(index, (params, args.variant, args.seed), params.index.processes, "index.processes")


def index(params: Params, variant: str, seed: Seed) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("index", variant, seed)):
        count = index_documents(ROOT, params, variant, seed)
    print(f"{layout.index(variant, seed)}: {count} documents")


if __name__ == "__main__":
    main()
