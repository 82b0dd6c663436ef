"""Re-rank what a chain's first stages rank: a retriever, BM25, or both fused."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.chain import rerank_first_stages
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the runs."""
    example = "python stages/chain.py --retriever lora-13 --variant iaa_l --seed 13"
    args = stage_arguments(__doc__, example, per_retriever=True, per_model=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("chain", f"{args.retriever}-{args.variant}", args.seed)):
        names = rerank_first_stages(ROOT, params, args.retriever, args.variant, args.seed)
    print(f"{layout.chain(args.retriever, args.variant, args.seed)} has the runs of {', '.join(names)}")


if __name__ == "__main__":
    main()
