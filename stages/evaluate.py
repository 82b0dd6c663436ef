"""Evaluate every variant's runs on the test queries."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.diff.digest import write_digest
from peftir.pipeline.evaluate import write_metrics
from peftir.pipeline.explorer import write_explorer
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    """Write the metrics."""
    stage_arguments(__doc__, "python stages/evaluate.py")
    params = load_params()
    for path in (*write_metrics(ROOT, params), *write_explorer(ROOT, params), *write_digest(ROOT, params)):
        print(path)


if __name__ == "__main__":
    main()
