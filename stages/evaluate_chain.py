"""Evaluate the chains with a retriever on the test queries."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.evaluate_chains import write_chain_metrics
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    """Write the metrics."""
    args = stage_arguments(__doc__, "python stages/evaluate_chain.py --retriever lora-13", per_retriever=True)
    for path in write_chain_metrics(ROOT, load_params(), args.retriever):
        print(path)


if __name__ == "__main__":
    main()
