"""The tables of results: the measures of each variant on the test queries, with significance tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from peftir.report.cells import (
    NONE,
    Cell,
    Group,
    Table,
    TableRow,
    decimals,
    p_value,
    text,
    weights_trained,
)
from peftir.report.evidence import Evidence
from peftir.report.study import StageStudy
from peftir.statistics.comparisons import TESTS, RowComparison, Spread, signed
from peftir.study.rows import Row

NAMES = {"two_level": "queries and seeds", "t_test": "t-test", "randomization": "randomization"}
"""The names of the tests in a table."""


def results(study: StageStudy) -> Table:
    """The results of a stage: weights trained, the measures on test, the difference to full fine-tuning.

    In each group, the best value of a measure and all values equal to it after rounding are strong. Variants
    whose models were all kept untrained are left out. ``*`` marks a significant difference to full
    fine-tuning, ``†`` one to the variant's rival.
    """
    columns = ["weights trained", "share", study.measure]
    columns += [f"vs {study.reference} (95 % interval)"] if study.reference else []
    columns += study.measures[1:]
    without_model = [_result(study, row, {}) for row in study.rows if row.variant is None]
    rows = [row for row in study.rows if row.variant and not row.interpolated]
    best = _best(study, rows)
    alone = [_result(study, row, best) for row in rows]
    if study.task == "retrieval":
        return Table(columns, [Group(None, [*without_model, *alone])])
    rows = [row for row in study.rows if row.interpolated]
    best = _best(study, rows)
    interpolated = [_result(study, row, best) for row in rows]
    groups = [
        Group(None, without_model),
        Group("Re-ranker alone", alone),
        Group("Interpolated with the first stage", interpolated),
    ]
    return Table(columns, groups)


def tests(study: StageStudy) -> Table:
    """The tests of the first measure: against full fine-tuning, IAA against its rival, against baselines."""
    used = TESTS if len(study.seeds) > 1 else TESTS[1:]
    columns = ["against", "difference", "95 % interval", *(f"p, {NAMES[test]}" for test in used)]
    groups = [
        _tests(study, f"Against {study.reference}", lambda row: study.reference, used),
        _tests(study, "IAA against the best other method of the same budget", study.rival, used),
        *(_against_baseline(study, baseline, used) for baseline in study.baselines),
    ]
    return Table(columns, [group for group in groups if group.rows], words=1)


def numbers_behind(evidence: Evidence) -> Table:
    """The table of ``evidence``; without groups if it has none."""
    groups = [
        Group(
            title or None,
            [TableRow(name, name, [Cell(*value) for value in values]) for name, values in lines.items()],
        )
        for title, lines in evidence.groups.items()
    ]
    return Table(evidence.columns, groups)


def _tests(
    study: StageStudy, title: str, other_of: Callable[[str], str | None], used: tuple[str, ...]
) -> Group:
    """A line for each row that ``other_of`` pairs with another."""
    rows = []
    for row in study.rows:
        name, other = row.name, None if row.interpolated else other_of(row.name)
        if other and other != name:
            found = study.comparisons[study.measure][name, other]
            cells = [
                text(Row.of(other).title),
                Cell(signed(found.difference), found.difference),
                Cell(found.interval, found.low),
            ]
            cells += [p_value(found, test) for test in used]
            rows.append(TableRow(row.title, row.variant, cells))
    return Group(title, rows)


def _against_baseline(study: StageStudy, baseline: str, used: tuple[str, ...]) -> Group:
    """A line for each trained variant."""
    title = f"Against {Row.of(baseline).title}"
    return _tests(study, title, lambda row: baseline if row in study.trained else None, used)


def _result(study: StageStudy, row: Row, best: dict[str, str]) -> TableRow:
    """A line of the results; ``best`` has the text of the strong values by measure."""
    variant = row.variant
    measured = {measure: _measured(study, row, measure) for measure in study.measures}
    if variant in study.learned_something:
        measured = {m: replace(cell, strong=cell.text == best[m]) for m, cell in measured.items()}
    weights = weights_trained(study.weights(variant)) if variant else [NONE, NONE]
    versus = [_versus(study.against_full(row.name))] if study.reference else []
    first, *others = measured.values()
    note = _note(study, variant, row.interpolated) if variant in study.trained else ""
    return TableRow(row.title, variant, [*weights, first, *versus, *others], note)


def _note(study: StageStudy, variant: str, interpolated: bool) -> str:
    """A note if a trained variant's row has untrained models or the first stage alone."""
    models, kept = study.models[variant], study.untrained(variant)
    notes = []
    if kept:
        count = f", {kept} of {len(models)} {study.single}s" if len(models) > 1 else ""
        notes.append(f"kept untrained{count}")
    if interpolated and all(model.interpolation and not model.interpolation.weight for model in models):
        notes.append(f"weight 0: {study.rows[0].title} alone")
    return "; ".join(notes)


def _measured(study: StageStudy, row: Row, measure: str) -> Cell:
    """A mean with its marks and its standard deviation over seeds."""
    found = study.spread[row.name][measure]
    against = {"*": study.against_full(row.name, measure), "†": study.against_rival(row.name, measure)}
    marks = "".join(mark for mark, comparison in against.items() if comparison and comparison.significant)
    return replace(
        decimals(found.mean, 3),
        spread=_spread(study, row, found),
        marks=marks,
    )


def _spread(study: StageStudy, row: Row, found: Spread) -> str | None:
    if len(study.seeds) < 2:
        return None
    # Identical untrained models have no deviation over seeds.
    differ = row.variant in study.learned_something or (row.variant in study.trained and found.sd > 0)
    return f"{found.sd:.3f}" if differ else ""


def _best(study: StageStudy, rows: list[Row]) -> dict[str, str]:
    """The text of the best value of each measure among the trained ``rows``."""
    rows = [row for row in rows if row.variant in study.learned_something]
    if not rows:
        return {}
    values = {m: max(study.mean(row.name, m) for row in rows) for m in study.measures}
    return {measure: decimals(value, 3).text for measure, value in values.items()}


def _versus(found: RowComparison | None) -> Cell:
    if found is None:
        return NONE
    clear = found.low > 0 or found.high < 0
    return Cell(str(found), found.difference, quiet=not clear)
