"""The comparisons of several studies, with p-values that are corrected together.

A family has the comparisons of all studies that one statement rests on, at one stage:

- the *marks* of all studies, and the *baselines* of all studies, as in :mod:`peftir.pipeline.questions`;
- *between studies*: each row against the same row of the first study with the same test queries.

A comparison of the same runs in several studies counts once: in a sweep, experiments share what a setting
does not change.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from peftir.diff.compare import Line, compare_sides
from peftir.pipeline.compare.kept import KeptStage, KeptStudy
from peftir.pipeline.questions import RowPair, families_of
from peftir.report.answers import Answer, all_of
from peftir.report.claims import Claim, claims
from peftir.report.rules import Beside
from peftir.statistics.comparisons import TESTS, RowComparison
from peftir.statistics.significance import holm
from peftir.study.rows import Row
from peftir.study.tasks import TASKS, TaskName


@dataclass(frozen=True)
class JointClaim:
    """A claim over several studies."""

    statement: str
    by_study: dict[str, Claim]

    @property
    def answer(self) -> Answer:
        """Yes if the claim holds in every study, no if it fails in one."""
        return all_of(claim.answer for claim in self.by_study.values())


def holm_of_distinct(tests: Sequence[tuple[Hashable, float]]) -> list[float]:
    """Holm's correction of p-values; those with equal keys are of one test, of which the largest counts."""
    distinct: dict[Hashable, float] = {}
    for key, p in tests:
        distinct[key] = max(p, distinct.get(key, p))
    corrected = dict(zip(distinct, holm([*distinct.values()]), strict=True))
    return [corrected[key] for key, _ in tests]


def corrected_together(studies: Sequence[KeptStudy]) -> list[KeptStudy]:
    """The studies with the p-values of their first measures corrected over all of them."""
    stages: list[dict[TaskName, KeptStage]] = [dict(study.stages) for study in studies]
    for task in TASKS:
        for place, comparisons in enumerate(_corrected(studies, task.name)):
            stage = studies[place].stages[task.name]
            stages[place][task.name] = replace(stage, comparisons={stage.measure: comparisons})
    return [replace(study, stages=each) for study, each in zip(studies, stages, strict=True)]


def _corrected(studies: Sequence[KeptStudy], task: TaskName) -> list[dict[RowPair, RowComparison]]:
    """By study: the comparisons in the first measure; corrected p-values are nan for pairs in no family."""
    compared = [study.stages[task].comparisons[study.stages[task].measure] for study in studies]
    found = [
        {pair: replace(each, corrected=dict.fromkeys(TESTS, math.nan)) for pair, each in of_study.items()}
        for of_study in compared
    ]
    stages = [study.stages[task] for study in studies]
    families = [families_of(task, stage.competitors, stage.without_model) for stage in stages]
    for family in zip(*families, strict=True):
        asked = [(place, pair) for place, pairs in enumerate(family) for pair in pairs]
        keys = [_question(studies[place], task, pair) for place, pair in asked]
        p_values = [
            holm_of_distinct(
                [(key, compared[place][pair].p[test]) for key, (place, pair) in zip(keys, asked, strict=True)]
            )
            for test in TESTS
        ]
        for (place, pair), *corrected in zip(asked, *p_values, strict=True):
            each = replace(compared[place][pair], corrected=dict(zip(TESTS, corrected, strict=True)))
            found[place] |= {pair: each, pair[::-1]: each.reversed()}
    return found


def _question(study: KeptStudy, task: TaskName, pair: RowPair) -> Hashable:
    """Equal for comparisons of the same runs."""
    return study.test_queries, pair, *(_values(study, task, row) for row in pair)


def _values(study: KeptStudy, task: TaskName, row: str) -> bytes:
    queries = study.side.scores[None].queries
    return study.side.values(task, row, study.stages[task].measure, queries).tobytes()


def references_of(studies: Sequence[KeptStudy]) -> list[KeptStudy]:
    """For each study, the first one with the same test queries, which may be itself."""
    first: dict[Hashable, KeptStudy] = {}
    return [first.setdefault(study.test_queries, study) for study in studies]


def between(studies: Sequence[KeptStudy]) -> dict[tuple[str, TaskName, str], Line]:
    """Each row against the same row of the reference, in the first measures, by study, task and row.

    ``corrected`` is over all studies, separately for rows that are interpolated with BM25.
    """
    lines = {
        (study.title, task, line.row): (reference, study, line)
        for reference, study in zip(references_of(studies), studies, strict=True)
        if reference is not study
        for line in compare_sides(reference.side, study.side).lines
        for task, stage in study.stages.items()
        if (line.test, line.task, line.measure) == (None, task, stage.measure)
    }
    found: dict[tuple[str, TaskName, str], Line] = {}
    for task in TASKS:
        for interpolated in (False, True):
            family = {
                key: line
                for key, line in lines.items()
                if key[1] == task.name and Row.of(key[2]).interpolated == interpolated
            }
            tests = [
                ((key[2], *(_values(each, task.name, key[2]) for each in pair)), line.difference.p)
                for key, (*pair, line) in family.items()
            ]
            for (key, (*_, line)), p in zip(family.items(), holm_of_distinct(tests), strict=True):
                found[key] = replace(line, corrected=p)
    return found


def joint_claims(studies: Sequence[KeptStudy]) -> list[JointClaim]:
    """The claims over all of ``studies``, which come from :func:`corrected_together`."""
    found = {}
    for study in studies:
        beside: dict[str, Beside] = {
            task.name: [
                (other.stages[task.name], other.learning[task.name])
                for other in studies
                if other is not study
            ]
            for task in TASKS
        }
        found[study.title] = claims([*study.stages.values()], study.learning, beside)
    statements = [claim.statement for claim in next(iter(found.values()))]
    return [
        JointClaim(statement, {title: answers[place] for title, answers in found.items()})
        for place, statement in enumerate(statements)
    ]
