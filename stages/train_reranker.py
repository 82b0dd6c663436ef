"""Train a cross-encoder with one method and keep its best step on dev."""

from __future__ import annotations

from common import learning_curve, stage_arguments
from peftir import layout
from peftir.errors import exits_cleanly
from peftir.params import load_params
from peftir.reranker import train_reranker
from peftir.resources import measured


@exits_cleanly
def main() -> None:
    """Train one re-ranker."""
    args = stage_arguments(
        __doc__, "python stages/train_reranker.py --variant lora --seed 13", per_model=True
    )
    params = load_params()
    with (
        measured(layout.resources("train_reranker", args.variant, args.seed)) as figures,
        learning_curve("reranker", args.variant, args.seed, params.reranker.selected_by) as on_point,
    ):
        figures |= train_reranker(params, args.variant, args.seed, on_point)


if __name__ == "__main__":
    main()
