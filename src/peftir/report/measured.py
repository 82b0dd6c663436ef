"""Reading what was measured from the tables of the stages ``evaluate`` and ``evaluate_test``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftir.report.study import TestSetStudy
from peftir.statistics.comparisons import TESTS, RowComparison, Spread, pairs
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.sources import shown
from peftir.study.tasks import BY_NAME

if TYPE_CHECKING:
    from peftir.study.params import Params

WORDS = ["row", "measure"]
"""The columns of the tables of metrics that are not numbers, but for the one that divides a table."""


def read_test_set(root: Path, params: Params, name: str) -> TestSetStudy:
    """The results of a test set of ``params``.

    Raises:
        PeftirError: an artefact is missing or not as expected.
    """
    given = params.tests[name]
    measures = {task: (given.measures or params.measures).at(task) for task in BY_NAME}
    spread = Artefact(root, layout.of(name, layout.SPREAD), "evaluate_test")
    comparisons = Artefact(root, layout.of(name, layout.COMPARISONS), "evaluate_test")
    rows = {task: [row.name for row in params.rows(task)] for task in BY_NAME}
    return TestSetStudy(
        name=name,
        source=shown(given.source),
        own_corpus=given.corpus == "own",
        measures=measures,
        spread={task: read_spread(spread, task, rows[task], measures[task]) for task in BY_NAME},
        comparisons={
            task: read_comparisons(comparisons, task, rows[task], measures[task]) for task in BY_NAME
        },
    )


def read_spread(
    artefact: Artefact, task: str, rows: list[str], measures: list[str], column: str = "stage"
) -> dict[str, dict[str, Spread]]:
    """The means of ``task`` in a table of :func:`peftir.statistics.comparisons.spread`, by row, measure.

    Args:
        artefact: the table.
        task: a value of ``column``.
        rows: the expected rows.
        measures: the expected measures.
        column: by which the table is divided.
    """
    lines = {(line["row"], line["measure"]): line for line in _lines(artefact, task, [column, *WORDS])}
    for row in rows:
        for measure in measures:
            if (row, measure) not in lines:
                raise artefact.wrong(f"no {measure} at {task} for '{row}'")
    return {row: {measure: _spread(lines[row, measure]) for measure in measures} for row in rows}


def read_comparisons(
    artefact: Artefact, task: str, rows: list[str], measures: list[str], column: str = "stage"
) -> dict[str, dict[tuple[str, str], RowComparison]]:
    """As :func:`read_spread` for :func:`~peftir.statistics.comparisons.comparisons`, by measure and pair."""
    lines = {
        (line["measure"], line["row"], line["other"]): line
        for line in _lines(artefact, task, [column, *WORDS, "other"])
    }
    found: dict[str, dict[tuple[str, str], RowComparison]] = {measure: {} for measure in measures}
    for measure in measures:
        for row, other in pairs(rows):
            if (measure, row, other) not in lines:
                raise artefact.wrong(f"no {measure} at {task} for '{row}' against '{other}'")
            comparison = _comparison(lines[measure, row, other])
            found[measure] |= {(row, other): comparison, (other, row): comparison.reversed()}
    return found


def _lines(artefact: Artefact, task: str, words: list[str]) -> list[dict[str, Any]]:
    """The lines of a table whose first of the columns ``words``, which are no numbers, is ``task``."""
    table = artefact.table(words)
    return table[table[words[0]] == task].to_dict("records")


def _spread(line: dict[str, Any]) -> Spread:
    return Spread(
        queries=int(line["queries"]),
        seeds=int(line["seeds"]),
        mean=line["mean"],
        sd=line["sd"],
        low=line["low"],
        high=line["high"],
    )


def _comparison(line: dict[str, Any]) -> RowComparison:
    return RowComparison(
        difference=line["difference"],
        low=line["low"],
        high=line["high"],
        p={test: line[test] for test in TESTS},
        corrected={test: line[f"{test}_holm"] for test in TESTS},
    )
