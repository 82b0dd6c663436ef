"""How many seeds and test queries a study needs, from the metrics of one that has run: ``peftir power``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from peftir.diff.digest import Scores, read_scores
from peftir.diff.revisions import PARAMS
from peftir.statistics.power import (
    POWER,
    VarianceComponents,
    needed,
    power_to_differ,
    power_to_match,
    variance_components,
)
from peftir.statistics.significance import ALPHA, Array
from peftir.study import layout
from peftir.study.rows import NO_SEED, Row
from peftir.study.yaml_text import parse_yaml
from peftir.system.errors import PeftirError
from peftir.system.text import aligned

SEEDS = (5, 10, 20)
"""The numbers of seeds for which the table says how many queries are needed."""
GOALS = {"differ": power_to_differ, "match": power_to_match}
HEAD = ("stage", "measure", "goal", "queries", "seeds", "seeds needed", "queries needed")


@dataclass(frozen=True)
class Requirement:
    """A line of the table; ``None`` where no number is enough, as long as the other stays."""

    stage: str
    """For a test set, with its name: ``retrieval on dl19``."""
    measure: str
    goal: str
    """``differ``: find a true difference; ``match``: call equal methods alike."""
    queries: int
    seeds: int
    seeds_needed: int | None
    """At the present queries."""
    queries_needed: int | None
    """At the present seeds."""
    queries_by_seeds: dict[int, int | None]

    @property
    def cells(self) -> list[str]:
        """The values as the table shows them."""
        numbers = [self.seeds_needed, self.queries_needed, *self.queries_by_seeds.values()]
        shown = ["never" if number is None else f"{number:,}" for number in numbers]
        return [self.stage, self.measure, self.goal, f"{self.queries:,}", str(self.seeds), *shown]


def requirements(folder: Path, difference: float, comparisons: int = 1) -> list[Requirement]:
    """What it takes to tell two trained methods apart, and to call them alike, per stage and measure.

    The variances are the means over all pairs of the stage's trained variants, re-rankers without BM25.

    Args:
        folder: has ``metrics/queries.parquet`` and, with test sets, one file for each in ``metrics/tests``;
            those that ``params.yaml`` does not have any more are left out.
        difference: the true difference to find, and the margin within which methods are alike.
        comparisons: alpha is divided by it, as for the smallest p-value of a family of that size.

    Raises:
        PeftirError: the file is missing or damaged, or no stage has two trained variants with several seeds.
    """
    file = folder / layout.QUERIES
    if not file.exists():
        raise PeftirError(f"{file}: not found; expected the folder of a study whose stage 'evaluate' has run")
    files = {"": file} | {f" on {test}": path for test, path in _test_sets(folder).items()}
    found = [
        _requirement(f"{stage}{on}", measure, goal, values, difference, ALPHA / comparisons)
        for on, scores in ((on, read_scores(path, str(path))) for on, path in files.items())
        for stage, measures in scores.measures.items()
        for place, measure in enumerate(measures)
        if len(values := _trained(scores, stage, place)) > 1
        for goal in GOALS
    ]
    if not found:
        raise PeftirError(
            f"{file}: no stage has two trained variants with at least 2 seeds, which the "
            "variance between seeds is estimated from; add seeds in params.yaml"
        )
    return found


def _test_sets(folder: Path) -> dict[str, Path]:
    """The file of each test set: of those in ``params.yaml`` if that is there, as metrics of others stay."""
    params = folder / PARAMS
    if params.is_file():
        tests = parse_yaml(params.read_text(encoding="utf-8"), str(params)).get("tests", {})
    else:
        tests = sorted(path.parent.name for path in folder.glob(str(layout.of("*", layout.QUERIES))))
    found = {test: folder / layout.of(test, layout.QUERIES) for test in tests}
    return {test: path for test, path in found.items() if path.is_file()}


def as_table(found: list[Requirement], difference: float, comparisons: int) -> str:
    """Aligned columns for a terminal, with what they mean."""
    head = (*HEAD, *(f"with {seeds} seeds" for seeds in SEEDS))
    corrected = f", alpha / {comparisons:,}" if comparisons > 1 else ""
    return "\n".join(
        [
            f"differ: a true difference of {difference:g} is significant (two-tailed{corrected}).",
            f"match: two equal methods are shown to differ by less than {difference:g} (two one-sided tests"
            f"{corrected}).",
            f"Numbers for {POWER:.0%} power at alpha {ALPHA}: seeds at the present queries, queries at the "
            "present seeds and with others.",
            "",
            *aligned([head, *(each.cells for each in found)], words=3),
        ]
    )


def _trained(scores: Scores, stage: str, measure: int) -> dict[str, Array]:
    """By trained variant with several seeds, the values of a measure; shape ``[seeds, queries]``."""
    runs: dict[str, list[Array]] = {}
    for (task, row, seed), values in scores.runs.items():
        if task == stage and seed != NO_SEED and not Row.of(row).interpolated:
            runs.setdefault(row, []).append(values[:, measure])
    return {row: np.stack(of) for row, of in runs.items() if len(of) > 1}


def _differences(values: dict[str, Array]) -> Iterator[Array]:
    yield from (one - other for one, other in combinations(values.values(), 2))


def _requirement(
    stage: str, measure: str, goal: str, values: dict[str, Array], difference: float, alpha: float
) -> Requirement:
    parts: VarianceComponents = variance_components(_differences(values))
    seeds, queries = next(iter(values.values())).shape
    power = GOALS[goal]

    def queries_with(number: int) -> int | None:
        return needed(lambda count: power(parts, number, count, difference, alpha))

    return Requirement(
        stage=stage,
        measure=measure,
        goal=goal,
        queries=queries,
        seeds=seeds,
        seeds_needed=needed(lambda count: power(parts, count, queries, difference, alpha)),
        queries_needed=queries_with(seeds),
        queries_by_seeds={number: queries_with(number) for number in SEEDS},
    )
