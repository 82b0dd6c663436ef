"""The comparison of several studies: their rows, the tests of these, and the claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from peftir.diff.compare import Line
from peftir.diff.revisions import PARAMS, Revision
from peftir.pipeline.compare.conditions import Condition, conditions_of
from peftir.pipeline.compare.joint import (
    JointClaim,
    between,
    corrected_together,
    joint_claims,
    references_of,
)
from peftir.pipeline.compare.kept import KeptStage, KeptStudy, read_kept
from peftir.statistics.comparisons import RowComparison, Spread
from peftir.statistics.significance import ALPHA
from peftir.study import layout
from peftir.study.rows import Row
from peftir.study.tasks import TASKS, TITLES, TaskName
from peftir.system.errors import PeftirError


@dataclass(frozen=True)
class TestedDifference:
    """The difference of a row to another, its 95 % interval and p-values, by the two-level test."""

    other: str
    """The other row, or the title of the study that has the same row."""
    difference: float
    low: float
    high: float
    p: float
    corrected: float
    """Over all studies; nan if there is no test."""

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is at most ``ALPHA``."""
        return self.corrected <= ALPHA


@dataclass(frozen=True)
class StudyRow:
    """A row of a study in the measure that is compared."""

    study: str
    task: TaskName
    row: str
    measure: str
    weights: int | None
    """The number of weights trained in the encoder; None for BM25."""
    spread: Spread
    tested: dict[str, TestedDifference]
    """The differences to ``full`` fine-tuning, to an IAA's ``rival``, to the ``baseline`` and to the same row
    of the ``reference``, the first study with the same test queries; those that there are."""


@dataclass(frozen=True)
class StudyComparison:
    """The comparison of several studies."""

    studies: list[KeptStudy]
    references: dict[str, str]
    """The first study with the same test queries, by study."""
    conditions: list[Condition]
    rows: list[StudyRow]
    claims: list[JointClaim]

    def measure(self, task: TaskName) -> str:
        """The measure that is compared at ``task``."""
        return self.studies[0].stages[task].measure


def compare_studies(revisions: Sequence[Revision]) -> StudyComparison:
    """Compare studies by the files in git; the first measure that all have is compared at each stage.

    Raises:
        PeftirError: there are fewer than two studies or one is given twice, a file is missing or damaged, or
            the studies have no measure in common.
    """
    if len(revisions) < 2:
        raise PeftirError("peftir compare: expected at least two studies; `peftir power` is about one")
    _refuse_repeats(revisions)
    studies = corrected_together(_in_one_measure([read_kept(each) for each in revisions]))
    lines, pairs = between(studies), list(zip(studies, references_of(studies), strict=True))
    return StudyComparison(
        studies=studies,
        references={study.title: reference.title for study, reference in pairs},
        conditions=conditions_of([study.side.params for study in studies]),
        rows=[row for study, reference in pairs for row in _rows(study, reference, lines)],
        claims=joint_claims(studies),
    )


def _refuse_repeats(revisions: Sequence[Revision]) -> None:
    seen: dict[tuple[bytes, bytes], str] = {}
    for revision in revisions:
        remedy = "expected the params and metrics of a study"
        content = revision.read(PARAMS, remedy), revision.read(layout.QUERIES, remedy)
        if content in seen:
            raise PeftirError(
                f"{seen[content]} and {revision.title}: the same study twice, with equal params and metrics; "
                "expected each study once"
            )
        seen[content] = revision.title


def _in_one_measure(studies: list[KeptStudy]) -> list[KeptStudy]:
    """The studies with one measure at each stage, the first of the first study that all have."""
    measures = {task.name: _common_measure(studies, task.name) for task in TASKS}

    def narrowed(stage: KeptStage) -> KeptStage:
        return replace(stage, measures=[measures[stage.task]])

    return [
        replace(study, stages={task: narrowed(stage) for task, stage in study.stages.items()})
        for study in studies
    ]


def _common_measure(studies: list[KeptStudy], task: TaskName) -> str:
    first = studies[0].stages[task].measures
    common = first
    for study in studies:
        measures = study.stages[task].measures
        common = [measure for measure in common if measure in measures]
        if not common:
            raise PeftirError(
                f"{studies[0].title} and {study.title}: no measure of {TITLES[task].lower()} is in both, of "
                f"{', '.join(first)} and {', '.join(measures)}; expected one in all studies under measures"
            )
    return common[0]


def _rows(
    study: KeptStudy, reference: KeptStudy, lines: dict[tuple[str, TaskName, str], Line]
) -> Iterator[StudyRow]:
    for task, stage in study.stages.items():
        for row in stage.rows:
            line = lines.get((study.title, task, row.name))
            tested = dict(_tested(stage, row))
            if line is not None:
                tested["reference"] = _of_line(line, reference.title)
            weights = stage.weights(row.variant).trained if row.variant else None
            spread = stage.spread[row.name][stage.measure]
            yield StudyRow(study.title, task, row.name, stage.measure, weights, spread, tested)


def _tested(stage: KeptStage, row: Row) -> Iterator[tuple[str, TestedDifference]]:
    """The differences within a study."""
    full, rival = stage.against_full(row.name), stage.against_rival(row.name)
    if full and stage.reference:
        yield "full", _of_rows(full, row.of_variant(stage.reference).name)
    if rival:
        yield "rival", _of_rows(rival, str(stage.rival(row.name)))
    if row.variant in stage.trained:
        baseline = stage.baselines[0]
        other = baseline if baseline == stage.rows[0].name else row.of_variant(baseline).name
        yield "baseline", _of_rows(stage.comparisons[stage.measure][row.name, other], other)


def _of_rows(found: RowComparison, other: str) -> TestedDifference:
    p, corrected = (values["two_level"] for values in (found.p, found.corrected))
    return TestedDifference(other, found.difference, found.low, found.high, p, corrected)


def _of_line(line: Line, other: str) -> TestedDifference:
    found = line.difference
    return TestedDifference(other, found.mean, found.low, found.high, found.p, line.corrected)
