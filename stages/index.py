"""Encode the documents with a trained retriever into a faiss index."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.index import index_documents
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Index the documents."""
    args = stage_arguments(__doc__, "python stages/index.py --variant lora --seed 13", per_model=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("index", args.variant, args.seed)):
        count = index_documents(ROOT, params, args.variant, args.seed)
    print(f"{layout.index(args.variant, args.seed)}: {count} documents")


if __name__ == "__main__":
    main()
