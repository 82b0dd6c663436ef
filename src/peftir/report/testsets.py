"""The tables of the test sets: what each variant reaches there, and what training has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

from peftir.report.cells import NONE, Cell, Group, Table, TableRow, decimals, p_value, text
from peftir.report.study import StageStudy, Study, TestSetStudy
from peftir.statistics.comparisons import RowComparison
from peftir.statistics.significance import ALPHA
from peftir.study.rows import Row, start_of

WORSE_SAME_BETTER = {
    "retrieval": ("forgotten", "kept", "gained"),
    "reranking": ("below {}", "as {}", "above {}"),
}
"""What a difference to the row that training began from is called, with that row's title."""


def overview(study: Study, stage: StageStudy) -> Table:
    """The first measure of every test set, a column each, and their mean over those with own documents."""
    columns = [f"{test.name}, {test.measures[stage.task][0]}" for test in study.tests]
    transfer = _transfer(study, stage)
    if transfer:
        columns.append(f"mean of {len(transfer)} transfer sets")

    def cells(row: Row) -> list[Cell]:
        found = [_marked(study, stage, test, row) for test in study.tests]
        means = [_mean(stage, test, row, test.measures[stage.task][0]) for test in transfer]
        return [*found, *([replace(decimals(fmean(means), 3), marks="")] if means else [])]

    return Table(columns, _groups(stage, cells))


def results_of(study: Study, stage: StageStudy, test: TestSetStudy) -> Table:
    """All measures of a test set, and how much more the first is than where training began."""
    start = _start(study, stage)
    first, *others = test.measures[stage.task]
    versus = [f"vs {start.title} (95 % interval)", "p", "change"] if start else []

    def cells(row: Row) -> list[Cell]:
        return [
            _measured(stage, test, row, first),
            *(_change(stage, _from_start(study, stage, test, row)) if start else []),
            *(_measured(stage, test, row, measure) for measure in others),
        ]

    return Table([first, *versus, *others], _groups(stage, cells))


def about(stage: StageStudy, test: TestSetStudy) -> str:
    """What a test set is, in a sentence."""
    queries = test.spread[stage.task][stage.rows[0].name][test.measures[stage.task][0]].queries
    documents = "of its own" if test.own_corpus else "of the collection"
    return f"{test.name}: {queries:,} test queries of {test.source}, on documents {documents}."


def explanation(study: Study, stage: StageStudy) -> str:
    """What the numbers and words of a task's tables mean."""
    start = _start(study, stage)
    folds = " and over the folds’ models" if stage.single == "fold" else ""
    over = " and over seeds" if len(stage.seeds) > 1 else ""
    told = [f"Means over the queries of a test set{over}{folds}; nothing was trained or chosen on them."]
    if start:
        worse, same, better = _words(stage)
        told.append(
            f"“{worse}” is significantly worse than {start.title} in the first measure, “{better}” is "
            f"significantly better, “{same}” is neither: two-tailed, p ≤ {ALPHA} by the two-level test of "
            "docs/statistics.md, after Holm’s correction over the rows that are compared within a test set. "
            "* marks significant differences."
        )
    if _transfer(study, stage):
        told.append("Transfer sets are those with documents of their own.")
    return " ".join(told)


def _transfer(study: Study, stage: StageStudy) -> list[TestSetStudy]:
    """The test sets that a mean is over: several, with documents of their own and one measure."""
    tests = [test for test in study.tests if test.own_corpus]
    measures = {test.measures[stage.task][0] for test in tests}
    return tests if len(tests) > 1 and len(measures) == 1 else []


def _groups(stage: StageStudy, cells: Callable[[Row], list[Cell]]) -> list[Group]:
    rows = stage.rows
    lines = {row: TableRow(row.title, row.variant, cells(row)) for row in rows}
    if stage.task == "retrieval":
        return [Group(None, list(lines.values()))]
    return [
        Group(None, [lines[rows[0]]]),
        Group("Re-ranker alone", [lines[row] for row in rows if row.variant and not row.interpolated]),
        Group("Interpolated with the first stage", [lines[row] for row in rows if row.interpolated]),
    ]


def _words(stage: StageStudy) -> list[str]:
    return [word.format(stage.rows[0].title) for word in WORSE_SAME_BETTER[stage.task]]


def _start(study: Study, stage: StageStudy) -> Row | None:
    return start_of(stage.task, study.params.variants.untrained, study.params.reranking.first_stage)


def _mean(stage: StageStudy, test: TestSetStudy, row: Row, measure: str) -> float:
    return test.spread[stage.task][row.name][measure].mean


def _measured(stage: StageStudy, test: TestSetStudy, row: Row, measure: str) -> Cell:
    """A mean and, where training gave several, its standard deviation over seeds."""
    found = test.spread[stage.task][row.name][measure]
    spread = None
    if len(stage.seeds) > 1:
        spread = f"{found.sd:.3f}" if row.variant in stage.trained else ""
    return replace(decimals(found.mean, 3), spread=spread)


def _from_start(study: Study, stage: StageStudy, test: TestSetStudy, row: Row) -> RowComparison | None:
    """A row against the one that training began from, in the first measure; ``None`` where nothing began."""
    start = _start(study, stage)
    if start is None or row.variant is None or row == start:
        return None
    return test.comparisons[stage.task][test.measures[stage.task][0]][row.name, start.name]


def _marked(study: Study, stage: StageStudy, test: TestSetStudy, row: Row) -> Cell:
    change = _from_start(study, stage, test, row)
    measured = _measured(stage, test, row, test.measures[stage.task][0])
    return replace(measured, marks="*" if change and change.significant else "")


def _change(stage: StageStudy, found: RowComparison | None) -> list[Cell]:
    if found is None:
        return [NONE, NONE, NONE]
    worse, same, better = _words(stage)
    word = same if not found.significant else better if found.difference > 0 else worse
    clear = found.low > 0 or found.high < 0
    return [
        Cell(str(found), found.difference, quiet=not clear),
        p_value(found, "two_level"),
        text(word),
    ]
