"""The four claims of Ma et al. 2022 (arXiv 2208.09847), and whether they hold in this study.

A claim holds, does not hold, or is not decided, for each stage and then for both together. It is decided by
significance tests alone, and never with one seed, since a claim about methods is one about all seeds. The
first measure of each stage is compared; for the re-ranker, without interpolation. ``docs/statistics.md`` has
the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from peftir.report.answers import Answer, all_of, any_of, falls_short, why_open
from peftir.report.evidence import Evidence, Figures, ReportedValue, difference
from peftir.report.learning_claims import slow, smooth
from peftir.report.rules import Beside, StageAnswer, comparable_iaa, existing, iaa, lacking, undecided
from peftir.report.study import StageResults, Study
from peftir.statistics.comparisons import RowComparison

Rule = Callable[[StageResults, Figures, Beside], StageAnswer]


@dataclass(frozen=True)
class Claim:
    """A claim, with the answer of each stage of the study."""

    statement: str
    by_task: dict[str, StageAnswer]

    @property
    def answer(self) -> Answer:
        """Yes if both stages answer yes, no if either answers no."""
        return all_of(stage.answer for stage in self.by_task.values())


def claims_of(study: Study) -> list[Claim]:
    """The paper's four claims, answered for ``study``."""
    stages = (study.retrieval, study.reranking)
    return claims(stages, {stage.task: stage.learned.figures for stage in stages if stage.learned})


def claims(
    stages: Sequence[StageResults],
    learning: Mapping[str, Figures],
    beside: Mapping[str, Beside] | None = None,
) -> list[Claim]:
    """The paper's four claims, answered for ``stages``.

    Args:
        stages: retrieval and re-ranking.
        learning: figures of learning by task, as in ``metrics/learning.json``; a task may be missing.
        beside: the same of other studies by task, if the claims are about several studies.
    """
    rules: dict[str, Rule] = {
        "Below 1 % of the weights, existing methods fall short of full fine-tuning at both stages.": _short,
        "Existing methods learn more slowly and less steadily than full fine-tuning.": slow,
        "IAA beats the best other method of the same budget and matches full fine-tuning.": _best,
        "IAA converges faster and has a smoother loss surface than the other methods of its budget.": smooth,
    }
    others = beside or {}
    return [
        Claim(
            statement,
            {
                stage.task: _found(rule, stage, learning.get(stage.task, {}), others.get(stage.task, ()))
                for stage in stages
            },
        )
        for statement, rule in rules.items()
    ]


def _found(rule: Rule, stage: StageResults, learning: Figures, beside: Beside) -> StageAnswer:
    found = rule(stage, learning, beside)
    notes, objections = list(found.evidence.notes), []
    untrained = {name: stage.untrained(name) for name in stage.trained if stage.untrained(name)}
    if untrained:
        names = ", ".join(
            f"{name} ({count} of {len(stage.best_steps(name))})" for name, count in untrained.items()
        )
        notes.append(f"Training did not improve these on dev, and the untrained model was kept: {names}.")
    if len(stage.seeds) < 2:
        objections.append("One seed gives no evidence about other seeds.")
    if stage.reference in untrained and stage.reference not in stage.learned_something:
        objections.append(
            f"Training did not improve {stage.reference} on dev, so there is no baseline to compare with."
        )
    answer = None if objections else found.answer
    return StageAnswer(answer, replace(found.evidence, notes=[*notes, *objections]))


def _short(stage: StageResults, learning: Figures, beside: Beside) -> StageAnswer:
    if lacks := lacking({"full fine-tuning": stage.reference, "existing method below 1 %": existing(stage)}):
        return lacks
    found = {name: each for name in existing(stage) if (each := stage.against_full(name))}
    answer = all_of(falls_short(each) for each in found.values())
    return StageAnswer(
        answer,
        Evidence(
            [f"{stage.measure} against {stage.reference}", "95 % interval", "p"],
            {"": {name: difference(each) for name, each in found.items()}},
            undecided(answer, _open_differences(found)),
        ),
    )


def _best(stage: StageResults, learning: Figures, beside: Beside) -> StageAnswer:
    kinds, left_out = comparable_iaa(stage)
    lacks = lacking(
        {"full fine-tuning": stage.reference, "IAA": iaa(stage), "other method of IAA’s budget": kinds}
    )
    if lacks:
        return lacks
    answers: list[Answer] = []
    lines = {}
    compared: dict[str, RowComparison] = {}
    for name in kinds:
        full, rival, other = stage.against_full(name), stage.against_rival(name), str(stage.rival(name))
        assert full and rival
        beats, short = falls_short(rival.reversed()), falls_short(full)
        answers.append(all_of([beats, None if short is None else not short]))
        lines[name] = [ReportedValue(other), *difference(rival), *difference(full)]
        compared |= {f"{name} against {other}": rival.reversed(), f"{name} against {stage.reference}": full}
    columns = ["best other method", f"{stage.measure} against it", "95 % interval", "p"]
    columns += [f"{stage.measure} against {stage.reference}", "95 % interval", "p"]
    answer = any_of(answers)
    notes = [*left_out, *undecided(answer, _open_differences(compared))]
    return StageAnswer(answer, Evidence(columns, {"": lines}, notes))


def _open_differences(found: dict[str, RowComparison]) -> Iterable[tuple[str, str]]:
    return [(name, why_open(each)) for name, each in found.items() if falls_short(each) is None]
