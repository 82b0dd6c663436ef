"""Evaluate every variant's runs on a test set."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.evaluate_test import evaluate_test
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    """Write the metrics."""
    args = stage_arguments(__doc__, "python stages/evaluate_test.py --test scifact", per_test=True)
    for path in evaluate_test(ROOT, load_params(), args.test):
        print(path)


if __name__ == "__main__":
    main()
