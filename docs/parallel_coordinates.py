"""Draw experiments as parallel coordinates: an axis a param or metric, a line an experiment.

example: dvc exp show --only-changed --drop '.*/.*' --csv | python docs/parallel_coordinates.py sweep.svg
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

# What `dvc exp show` says of an experiment beside its params and metrics.
ABOUT = ["Experiment", "rev", "typ", "Created", "parent", "State", "Executor"]


def axes_of(experiments: pd.DataFrame) -> pd.DataFrame:
    """The columns that differ, each scaled to 0 … 1: numbers by value, all else in alphabetical order."""
    columns = experiments.drop(columns=ABOUT, errors="ignore")
    columns = columns.loc[:, columns.nunique() > 1]
    places = columns.apply(
        lambda column: (
            column
            if pd.api.types.is_numeric_dtype(column)
            else pd.factorize(column, sort=True)[0].astype(float)
        )
    )
    return (places - places.min()) / (places.max() - places.min())


def draw(experiments: pd.DataFrame, path: Path) -> None:
    """Draw ``experiments``, as ``dvc exp show --csv`` prints them, to ``path``."""
    # One that has not run yet is listed with the metrics that it started from.
    experiments = experiments[experiments["State"].isin(["Success"]) | experiments["State"].isna()]
    scaled = axes_of(experiments)
    count = len(scaled.columns)
    if count < 2:
        sys.exit("fewer than two params and metrics differ between these experiments: nothing to draw")
    figure = Figure(figsize=(2.4 * count, 4.5))
    axis = figure.subplots()
    for place, line in scaled.iterrows():
        name = experiments["Experiment"].fillna(experiments["rev"])[place]
        axis.plot(range(count), line, marker="o", label=name)
        for x, column in enumerate(scaled.columns):
            axis.annotate(
                str(experiments[column][place]), (x, line[column]), xytext=(6, 3), textcoords="offset points"
            )
    for x in range(count):
        axis.axvline(x, color="0.8", zorder=0)
    axis.set_xticks(range(count), [column.replace(".", ".\n") for column in scaled.columns])
    axis.set_yticks([])
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, frameon=False)
    figure.savefig(path, bbox_inches="tight")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="the SVG, PNG or PDF to write")
    output = parser.parse_args().output
    draw(pd.read_csv(sys.stdin), output)
    print(f"open {output}")
