"""The results as a text that is kept in git: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from peftir.report import sentences, testsets
from peftir.report.answers import words
from peftir.report.cells import Cell, Table
from peftir.report.claims import claims_of
from peftir.report.results import numbers_behind, results
from peftir.report.study import StageStudy, Study
from peftir.report.summary import summary
from peftir.study.sources import shown
from peftir.study.tasks import TITLES
from peftir.system.markdown import escape, table


def render_markdown(study: Study) -> str:
    """``report/results.md``: what was compared, and a table a stage."""
    return "\n".join(_lines(study))


def _lines(study: Study) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield from (f"- {escape(sentence)}" for sentence in summary(study))
    yield ""
    yield _compared(study)
    for stage in (study.retrieval, study.reranking):
        yield ""
        yield f"## {TITLES[stage.task]}"
        yield ""
        yield from _table(results(stage))
        yield ""
        yield escape(sentences.explanation(stage))
        for note in (sentences.marks(stage), *sentences.notes(study, stage)):
            if note:
                yield ""
                yield escape(note)
    if study.chains:
        yield from _chains(study)
    if study.tests:
        yield from _test_sets(study)
    yield ""
    yield "## The paper’s claims"
    yield ""
    yield sentences.CLAIMS
    yield ""
    found_claims = claims_of(study)
    for number, claim in enumerate(found_claims, start=1):
        stages = "; ".join(
            f"{TITLES[task].lower()}: {words(found.answer)}" for task, found in claim.by_task.items()
        )
        yield f"{number}. {escape(claim.statement)} **{words(claim.answer).capitalize()}** ({stages})."
    yield ""
    yield f"## {sentences.BEHIND_CLAIMS}"
    for number, claim in enumerate(found_claims, start=1):
        yield ""
        yield f"### {number}. {escape(claim.statement)}"
        for task, found in claim.by_task.items():
            yield ""
            yield f"{TITLES[task]}: {words(found.answer)}."
            yield from _tables(numbers_behind(found.evidence))
            for note in found.evidence.notes:
                yield ""
                yield escape(note)
    yield ""


def _chains(study: Study) -> Iterator[str]:
    yield ""
    yield "## Chains"
    for chain in study.chains:
        yield ""
        yield f"### {escape(chain.title)}"
        yield from _tables(chain.table())
        yield ""
        yield escape(chain.explanation())


def _test_sets(study: Study) -> Iterator[str]:
    yield ""
    yield "## Test sets"
    for stage in (study.retrieval, study.reranking):
        yield ""
        yield f"### {TITLES[stage.task]} on the test sets"
        yield ""
        yield from _table(testsets.overview(study, stage))
        for test in study.tests:
            yield ""
            yield escape(testsets.about(stage, test))
            yield ""
            yield from _table(testsets.results_of(study, stage, test))
        yield ""
        yield escape(testsets.explanation(study, stage))


def _compared(study: Study) -> str:
    counts = ", ".join(f"{count:,} {escape(name)}" for name, count in sentences.counts(study).items())
    stages = "; ".join(
        f"{TITLES[stage.task].lower()}, {_training(stage)}" for stage in (study.retrieval, study.reranking)
    )
    collection = escape(shown(study.params.collection.source))
    backbone = escape(shown(study.params.backbone.name))
    compared = f"Collection {collection}: {counts}. Backbone {backbone}. Training: {stages}."
    return " ".join([compared, *map(escape, sentences.splits(study))])


def _training(stage: StageStudy) -> str:
    settings = stage.settings
    return f"{settings.steps:,} steps of {settings.batch_size:,} queries with {sentences.seeds(stage)}"


def _tables(shown: Table) -> Iterator[str]:
    """A table for each group of ``shown``, under its title."""
    for group in shown.groups:
        if group.title:
            yield ""
            yield f"{escape(group.title)}:"
        yield ""
        yield from _table(replace(shown, groups=[group]))


def _table(shown: Table) -> list[str]:
    rows = (
        [escape(row.title), *(_cell(cell) for cell in row.cells)]
        for group in shown.groups
        for row in group.rows
    )
    return table(["", *map(escape, shown.columns)], rows, align="---:")


def _cell(cell: Cell) -> str:
    value = f"**{cell.text}**" if cell.strong else cell.text
    spread = f" ± {cell.spread}" if cell.spread else ""
    return f"{value}{escape(cell.marks or '')}{spread}"
