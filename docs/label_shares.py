"""Draw what each variant reaches with shares of the training queries: a line a variant, a point a share.

example: dvc exp show --drop '.*/.*' --csv | python docs/label_shares.py retrieval.RR@10 labels.svg
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

SHARE = "collection.train_share"


def curves_of(experiments: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The value of ``metric`` by share of the training queries, a column a variant.

    Of several experiments with one share, such as one a seed, it is the mean.

    Args:
        experiments: as ``dvc exp show --csv`` prints them.
        metric: a task and measure in ``metrics/summary.json``, such as ``retrieval.RR@10``.
    """
    # One that has not run yet is listed with the metrics that it started from.
    done = experiments["State"].isin(["Success"]) | experiments["State"].isna()
    columns = [column for column in experiments if column.startswith(f"{metric}.")]
    if not columns:
        sys.exit(f"{metric}: no such column; expected a task and measure of metrics/summary.json")
    if SHARE not in experiments or experiments[done][SHARE].nunique() < 2:
        sys.exit(f"{SHARE}: expected experiments with two shares at least (docs/sweeps.md, Label shares)")
    # The workspace is the commit that the experiments started from, once more.
    several = experiments[done & (experiments["rev"] != "workspace")]
    curves = several.groupby(SHARE)[columns].mean()
    return curves.rename(columns=lambda column: column.removeprefix(f"{metric}."))


def draw(curves: pd.DataFrame, metric: str, path: Path) -> None:
    """Draw ``curves``, as of :func:`curves_of`, to ``path``."""
    figure = Figure(figsize=(6.4, 4.5))
    axes = figure.subplots()
    for name, values in curves.items():
        axes.plot(100 * curves.index, values, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_xticks(100 * curves.index, [f"{100 * share:g}" for share in curves.index])
    axes.minorticks_off()
    axes.set_xlabel("training queries used (%, log scale)")
    axes.set_ylabel(f"{metric} on test (0 to 1)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, bbox_inches="tight")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("metric", help="a task and measure in metrics/summary.json, such as retrieval.RR@10")
    parser.add_argument("output", type=Path, help="the SVG, PNG or PDF to write")
    arguments = parser.parse_args()
    draw(curves_of(pd.read_csv(sys.stdin), arguments.metric), arguments.metric, arguments.output)
    print(f"open {arguments.output}")
