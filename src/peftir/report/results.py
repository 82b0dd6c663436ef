"""The tables of results: what each variant reaches on the test queries."""

from __future__ import annotations

from dataclasses import replace

from peftir.report.cells import NONE, Cell, Group, Row, Table, decimals, weights_trained
from peftir.report.study import StageStudy


def results(study: StageStudy) -> Table:
    """The results of a stage: weights trained, the measures on test, the difference to full fine-tuning.

    In each group the best trained value of a measure is strong, and so is every one that equals it as shown.
    """
    columns = ["weights trained", "share", study.measure]
    columns += [f"vs {study.reference} (95 % interval)"] if study.reference else []
    columns += study.measures[1:]
    bm25 = _result(study, "BM25", None, "", {})
    best = _best(study, "")
    alone = [_result(study, name, name, "", best) for name in study.variants]
    if study.task == "retrieval":
        return Table(columns, [Group(None, [bm25, *alone])])
    best = _best(study, "+bm25")
    mixed = [_result(study, f"{name} + BM25", name, "+bm25", best) for name in study.variants]
    groups = [
        Group(None, [bm25]),
        Group("Re-ranker alone", alone),
        Group("Interpolated with the first stage", mixed),
    ]
    return Table(columns, groups)


def _result(study: StageStudy, name: str, variant: str | None, suffix: str, best: dict[str, str]) -> Row:
    """A line of the results: variant and ``suffix`` name its row, ``best`` is what is strong by measure."""
    row = f"{variant}{suffix}" if variant else "bm25"
    measured = {measure: decimals(study.means[row][measure], 3) for measure in study.measures}
    if variant in study.trained:
        measured = {m: replace(cell, strong=cell.text == best[m]) for m, cell in measured.items()}
    weights = weights_trained(study.weights(variant)) if variant else [NONE, NONE]
    versus = [_versus(study, row)] if study.reference else []
    first, *others = measured.values()
    return Row(name, variant, [*weights, first, *versus, *others])


def _best(study: StageStudy, suffix: str) -> dict[str, str]:
    """The best value of each measure among trained variants, as it is shown."""
    if not study.trained:
        return {}
    values = {m: max(study.means[name + suffix][m] for name in study.trained) for m in study.measures}
    return {measure: decimals(value, 3).text for measure, value in values.items()}


def _versus(study: StageStudy, row: str) -> Cell:
    difference = study.differences.get(row)
    if difference is None:
        return NONE
    mean, low, high = (_signed(value) for value in (difference.mean, difference.low, difference.high))
    return Cell(f"{mean} ({low} to {high})", difference.mean, quiet=not difference.clear)


def _signed(value: float) -> str:
    """Three decimals and a sign, a true minus; what rounds to zero has none."""
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", "−")
