"""Evaluate the chains with a retriever on a test set."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.evaluate_chain_test import evaluate_chain_test
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    """Write the metrics."""
    example = "python stages/evaluate_chain_test.py --test scifact --retriever lora-13"
    args = stage_arguments(__doc__, example, per_test=True, per_retriever=True)
    for path in evaluate_chain_test(ROOT, load_params(), args.test, args.retriever):
        print(path)


if __name__ == "__main__":
    main()
