"""Train a bi-encoder with one method and keep its best step on dev."""

from __future__ import annotations

from common import learning_curve, stage_arguments
from peftir import layout
from peftir.errors import exits_cleanly
from peftir.params import load_params
from peftir.resources import measured
from peftir.retriever import train_retriever


@exits_cleanly
def main() -> None:
    """Train one retriever."""
    args = stage_arguments(
        __doc__, "python stages/train_retriever.py --variant lora --seed 13", per_model=True
    )
    params = load_params()
    with (
        measured(layout.resources("train_retriever", args.variant, args.seed)) as figures,
        learning_curve("retriever", args.variant, args.seed, params.retriever.selected_by) as on_point,
    ):
        figures |= train_retriever(params, args.variant, args.seed, on_point)


if __name__ == "__main__":
    main()
