"""Print what each learning rate of a sweep reached on dev, as a Markdown table for docs/learning-rates.md.

It reads params.yaml and metrics/training of the folder that it is run in, which hold the sweep.

example: cd sweep && python docs/learning_rates.py
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.tasks import StageName
from peftir.system.errors import exits_cleanly

Cell = tuple[float, float]  # rate, best measure on dev


def cells(params: Params, stage: StageName) -> dict[str, list[Cell]]:
    """By type of method, what each rate that was trained reached: the mean of its seeds."""
    found: dict[str, list[Cell]] = defaultdict(list)
    for variant in params.variants.trained(stage):
        method = params.methods[variant]
        files = [layout.training(stage, variant, seed) for seed in params.seeds.at(stage)]
        if method.learning_rate and all(file.is_file() for file in files):
            reached = [json.loads(file.read_text(encoding="utf-8"))["best_dev"] for file in files]
            found[method.type].append((method.learning_rate.at(stage), sum(reached) / len(reached)))
    return found


def table(params: Params, stage: StageName) -> list[str]:
    """A row a type of method, the best rate bold; the cells are rate and measure."""
    rows = cells(params, stage)
    width = max(map(len, rows.values()), default=0)
    lines = [
        f"| {stage} | " + " | ".join(["lowest", *[""] * (width - 2), "highest"]) + " |",
        "| --- |" + " ---: |" * width,
    ]
    for kind, tried in rows.items():
        best = max(reached for _, reached in tried)
        shown = [
            f"{'**' * (reached == best)}{rate:g}: {reached:.3f}{'**' * (reached == best)}"
            for rate, reached in sorted(tried)
        ]
        lines.append(f"| {kind} | " + " | ".join(shown + [""] * (width - len(shown))) + " |")
    return lines


@exits_cleanly
def main() -> None:
    """Print both stages' tables."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    params = load_params(Path("params.yaml"))
    print("\n".join([*table(params, "retriever"), "", *table(params, "reranker")]))


if __name__ == "__main__":
    main()
