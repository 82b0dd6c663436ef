"""The four claims of Ma et al. 2022 (arXiv 2208.09847), and whether they hold in this study.

A claim holds, does not hold, or is not decided, for each stage and then for both together. It is decided by
significance tests alone, and never with one seed, since a claim about methods is one about all seeds. The
first measure of each stage is compared; for the re-ranker, without interpolation. ``docs/statistics.md`` has
the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from peftir.report.answers import (
    Answer,
    BySeed,
    all_of,
    any_of,
    compare_seeds,
    falls_short,
    why_open,
    why_open_over_seeds,
)
from peftir.report.evidence import (
    NOT_TESTED,
    Evidence,
    Figures,
    ReportedValue,
    average,
    difference,
    numbers,
    probability,
    steps_to_full,
)
from peftir.report.study import StageStudy, Study
from peftir.statistics.comparisons import RowComparison

SMALL = 0.01
"""The first two claims are about methods that train less than this share of the weights."""

Name = TypeVar("Name")


@dataclass(frozen=True)
class StageAnswer:
    """The answer of one stage to a claim, with its evidence."""

    answer: Answer
    evidence: Evidence


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


def claims(stages: Sequence[StageStudy], learning: dict[str, Figures]) -> list[Claim]:
    """The paper's four claims, answered for ``stages``.

    Args:
        stages: retrieval and re-ranking.
        learning: figures of learning by task, as in ``metrics/learning.json``; a task may be missing.
    """
    rules: dict[str, Callable[[StageStudy, Figures], StageAnswer]] = {
        "Below 1 % of the weights, existing methods fall short of full fine-tuning at both stages.": _short,
        "Existing methods learn more slowly and less steadily than full fine-tuning.": _slow,
        "IAA beats the best other method of the same budget and matches full fine-tuning.": _best,
        "IAA converges faster and has a smoother loss surface than the other methods of its budget.": _smooth,
    }
    return [
        Claim(statement, {stage.task: _found(rule, stage, learning.get(stage.task, {})) for stage in stages})
        for statement, rule in rules.items()
    ]


def _found(
    rule: Callable[[StageStudy, Figures], StageAnswer], stage: StageStudy, learning: Figures
) -> StageAnswer:
    found = rule(stage, learning)
    notes, objections = list(found.evidence.notes), []
    untrained = {name: stage.untrained(name) for name in stage.trained if stage.untrained(name)}
    if untrained:
        names = ", ".join(
            f"{name} ({count} of {len(stage.models[name])})" for name, count in untrained.items()
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


def _existing(stage: StageStudy) -> list[str]:
    return [name for name in stage.small if stage.kinds[name] != "iaa" and stage.weights(name).share < SMALL]


def _iaa(stage: StageStudy) -> list[str]:
    return [name for name in stage.small if stage.kinds[name] == "iaa"]


def _comparable_iaa(stage: StageStudy) -> tuple[list[str], list[str]]:
    """The variants of IAA with other methods of the same budget, and notes on those without."""
    alone = [name for name in _iaa(stage) if not stage.peers(name)]
    notes = [f"{name} is left out: no other method trains about as many weights." for name in alone]
    return [name for name in _iaa(stage) if name not in alone], notes


def _short(stage: StageStudy, learning: Figures) -> StageAnswer:
    if lacks := _lacks({"full fine-tuning": stage.reference, "existing method below 1 %": _existing(stage)}):
        return lacks
    found = {name: each for name in _existing(stage) if (each := stage.against_full(name))}
    answer = all_of(falls_short(each) for each in found.values())
    return StageAnswer(
        answer,
        Evidence(
            [f"{stage.measure} against {stage.reference}", "95 % interval", "p"],
            {"": {name: difference(each) for name, each in found.items()}},
            _open(answer, _open_differences(found)),
        ),
    )


def _slow(stage: StageStudy, learning: Figures) -> StageAnswer:
    full, others = stage.reference, _existing(stage)
    if lacks := _lacks({"full fine-tuning": full, "existing method below 1 %": others}):
        return lacks
    assert full is not None
    if not learning:
        return _cannot("The analysis of learning was not run.")
    mean_heights = {name: numbers(stage, learning, name, "auc") for name in (full, *others)}
    oscillations = {name: numbers(stage, learning, name, "oscillation") for name in (full, *others)}
    slow = _tested({name: (mean_heights[full], mean_heights[name]) for name in others})
    unsteady = _tested({name: (oscillations[name], oscillations[full]) for name in others})
    sd = {name: stage.spread[name][stage.measure].sd for name in (full, *others)}
    lines = {
        name: [
            average(mean_heights[name]),
            _p(slow, name),
            steps_to_full(learning, name),
            average(oscillations[name]),
            _p(unsteady, name),
            ReportedValue(f"{sd[name]:.3f}", sd[name]) if len(stage.seeds) > 1 else NOT_TESTED,
        ]
        for name in (full, *others)
    }
    answer = all_of(answer for tested in (slow, unsteady) for answer, _ in tested.values())
    figures = {"mean height": slow, "oscillation": unsteady}
    return StageAnswer(
        answer,
        Evidence(
            ["mean height", "p", "steps to 95 %", "oscillation", "p", f"sd of {stage.measure}"],
            {"": lines},
            [
                f"Mean height of the learning curve on dev; steps to 95 % of the gain of {full} on dev, with "
                "the number of models that reach it, if not all; oscillation of the training loss; standard "
                "deviation over seeds of the measure on test, for which there is no test. p is for the "
                f"difference to {full}.",
                *_open(answer, _open_figures(figures)),
            ],
        ),
    )


def _best(stage: StageStudy, learning: Figures) -> StageAnswer:
    kinds, left_out = _comparable_iaa(stage)
    lacks = _lacks(
        {"full fine-tuning": stage.reference, "IAA": _iaa(stage), "other method of IAA’s budget": kinds}
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
    notes = [*left_out, *_open(answer, _open_differences(compared))]
    return StageAnswer(answer, Evidence(columns, {"": lines}, notes))


def _smooth(stage: StageStudy, learning: Figures) -> StageAnswer:
    kinds, left_out = _comparable_iaa(stage)
    if lacks := _lacks({"IAA": _iaa(stage), "other method of IAA’s budget": kinds}):
        return lacks
    if not learning:
        return _cannot("The analysis of learning was not run.")
    pairs = [(name, other) for name in kinds for other in stage.peers(name)]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    mean_heights = {name: numbers(stage, learning, name, "auc") for name in names}
    sharpness = {name: numbers(stage, learning, name, "sharpness") for name in names}
    faster = _tested({(name, other): (mean_heights[name], mean_heights[other]) for name, other in pairs})
    smoother = _tested({(name, other): (sharpness[other], sharpness[name]) for name, other in pairs})
    answers = []
    groups = {}
    for name in kinds:
        others = stage.peers(name)
        answers.append(all_of(tested[name, other][0] for tested in (faster, smoother) for other in others))
        groups[f"Against {name}"] = {
            other: [
                average(mean_heights[other]),
                _p(faster, (name, other)),
                steps_to_full(learning, other),
                average(sharpness[other]),
                _p(smoother, (name, other)),
            ]
            for other in (name, *others)
        }
    answer = any_of(answers)
    figures = {
        figure: {f"{name} against {other}": found for (name, other), found in tested.items()}
        for figure, tested in (("mean height", faster), ("sharpness", smoother))
    }
    return StageAnswer(
        answer,
        Evidence(
            ["mean height", "p", "steps to 95 %", "sharpness", "p"],
            groups,
            [
                "Mean height of the learning curve on dev; steps to 95 % of the gain of full fine-tuning on "
                "dev, with the number of models that reach it, if not all; sharpness, the largest eigenvalue "
                "of the loss’s Hessian. p is for the difference to the variant of IAA in the first line.",
                *left_out,
                *_open(answer, _open_figures(figures)),
            ],
        ),
    )


def _lacks(needed: dict[str, object]) -> StageAnswer | None:
    """The answer "not decided" if a value of ``needed``, by its name, is missing; else ``None``."""
    missing = [name for name, value in needed.items() if not value]
    return _cannot(f"There is no {' and no '.join(missing)} to compare.") if missing else None


def _open(answer: Answer, reasons: Iterable[tuple[str, str]]) -> list[str]:
    """A note on why ``answer`` is not decided, from pairs of a comparison and a reason; else no note."""
    by_reason: dict[str, list[str]] = {}
    for comparison, reason in reasons:
        by_reason.setdefault(reason, []).append(comparison)
    text = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())
    return [f"Undecided: {text}."] if answer is None and text else []


def _open_differences(found: dict[str, RowComparison]) -> Iterable[tuple[str, str]]:
    return [(name, why_open(each)) for name, each in found.items() if falls_short(each) is None]


def _open_figures(figures: dict[str, dict[str, tuple[Answer, float]]]) -> Iterable[tuple[str, str]]:
    return [
        (f"{figure} of {name}", why_open_over_seeds(p))
        for figure, tested in figures.items()
        for name, (answer, p) in tested.items()
        if answer is None
    ]


def _cannot(why: str) -> StageAnswer:
    """The answer "not decided", with a note on the reason."""
    return StageAnswer(None, Evidence(notes=[why]))


def _tested(pairs: dict[Name, tuple[BySeed, BySeed]]) -> dict[Name, tuple[Answer, float]]:
    """The result of :func:`compare_seeds` for each pair, by its name."""
    return dict(zip(pairs, compare_seeds([*pairs.values()]), strict=True))


def _p(tested: dict[Name, tuple[Answer, float]], name: Name) -> ReportedValue:
    """The p-value of the test called ``name``, if there is one."""
    return probability(tested[name][1]) if name in tested else NOT_TESTED
