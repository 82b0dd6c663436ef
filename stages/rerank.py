"""Re-rank BM25's candidates with a trained re-ranker: its scores alone, and interpolated with BM25's."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.rerank import rerank_candidates
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the runs."""
    args = stage_arguments(__doc__, "python stages/rerank.py --variant lora --seed 13", per_model=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("rerank", args.variant, args.seed)):
        weight = rerank_candidates(ROOT, params, args.variant, args.seed)
    print(
        f"{layout.runs('reranking', args.variant, args.seed)} has the runs; weight of the re-ranker: {weight}"
    )


if __name__ == "__main__":
    main()
