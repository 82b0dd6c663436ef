"""The four claims of Ma et al. 2022 (arXiv 2208.09847), and whether they hold on the collection at hand.

A claim holds, does not hold, or is not decided, stage by stage and then for both stages together. It is
decided by tests alone, and never with one seed, since a claim about methods is one about what other seeds
would give. What is compared is the first measure of each stage, of the re-ranker by itself.
``docs/statistics.md`` has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from scipy import stats

from peftir.seeds import draw
from peftir.significance import ALPHA, holm

if TYPE_CHECKING:
    from peftir.comparisons import Comparison
    from peftir.report.study import StageStudy

MARGIN = 0.01
"""A difference in the measure below this is taken for none where a claim says that two methods are alike."""
SMALL = 0.01
"""Share of the weights below which the first two claims look at a method."""

Answer = bool | None
"""Yes, no, or not decided."""
Figures = dict[str, dict[str, Any]]
"""Figures of learning by variant and name: a list, a number a model, ``None`` where there is none."""


@dataclass(frozen=True)
class Finding:
    """What one stage says to a claim, and the numbers behind it."""

    answer: Answer
    evidence: list[str]


@dataclass(frozen=True)
class Claim:
    """A claim, what the study says to it, and the finding of each stage by its task."""

    statement: str
    findings: dict[str, Finding]

    @property
    def answer(self) -> Answer:
        """Yes if both stages say so, no if one says no."""
        return all_of(finding.answer for finding in self.findings.values())


def words(answer: Answer) -> str:
    """``answer`` as it is said of a claim."""
    return {True: "held", False: "not held", None: "not decided"}[answer]


def claims(stages: Sequence[StageStudy], learning: dict[str, Figures]) -> list[Claim]:
    """The paper's four claims for ``stages``.

    Args:
        stages: retrieval and re-ranking.
        learning: figures of learning by task, as in ``metrics/learning.json``; a task may be missing.
    """
    rules: dict[str, Callable[[StageStudy, Figures], Finding]] = {
        "Below 1 % of the weights, existing methods fall short of full fine-tuning at both stages.": _short,
        "Existing methods learn more slowly and less steadily than full fine-tuning.": _slow,
        "IAA beats the best other method of the same budget and matches full fine-tuning.": _best,
        "IAA converges faster and has a smoother loss surface than the other methods of its budget.": _smooth,
    }
    return [
        Claim(statement, {stage.task: _found(rule, stage, learning.get(stage.task, {})) for stage in stages})
        for statement, rule in rules.items()
    ]


def all_of(answers: Iterable[Answer]) -> Answer:
    """No if one is no; not decided if one is not, or if there is none; else yes."""
    given = list(answers)
    if False in given:
        return False
    return None if None in given or not given else True


def any_of(answers: Iterable[Answer]) -> Answer:
    """Yes if one is yes; not decided if one is not, or if there is none; else no."""
    opposite = all_of(None if answer is None else not answer for answer in answers)
    return None if opposite is None else not opposite


def falls_short(found: Comparison) -> Answer:
    """Whether the first of two rows is worse than the other.

    Yes if significantly so; no if significantly better, or by its 95 % interval at most ``MARGIN`` worse.
    """
    if found.significant:
        return found.difference < 0
    return False if found.low >= -MARGIN else None


def compare_seeds(pairs: Sequence[tuple[list[float], list[float]]]) -> list[tuple[Answer, float]]:
    """For each pair of figures, a number a seed: whether the first are larger, and the p-value of that.

    Welch's t-test over seeds, corrected after Holm over the pairs; not decided where it is not significant,
    and nan with fewer than two seeds, or where nothing varies.
    """
    raw = [
        float(stats.ttest_ind(one, other, equal_var=False).pvalue)
        if min(len(one), len(other)) > 1 and len({*one}) + len({*other}) > 2
        else math.nan
        for one, other in pairs
    ]
    return [
        (mean(one) > mean(other) if p <= ALPHA else None, p)
        for (one, other), p in zip(pairs, holm(raw), strict=True)
    ]


def _found(rule: Callable[[StageStudy, Figures], Finding], stage: StageStudy, learning: Figures) -> Finding:
    finding = rule(stage, learning)
    doubts = []
    if len(stage.seeds) < 2:
        doubts.append("One seed says nothing of how another would do.")
    if stage.reference and not any(model.best_step for model in stage.models[stage.reference]):
        doubts.append(
            f"Training did not even raise {stage.reference} on dev: nothing was learned to compare."
        )
    if finding.answer is not None and doubts:
        return Finding(None, [*finding.evidence, *doubts])
    return finding


def _existing(stage: StageStudy) -> list[str]:
    return [name for name in stage.small if stage.kinds[name] != "iaa" and stage.weights(name).share < SMALL]


def _iaa(stage: StageStudy) -> list[str]:
    return [name for name in stage.small if stage.kinds[name] == "iaa"]


def _short(stage: StageStudy, learning: Figures) -> Finding:
    found = {name: stage.against_full(name) for name in _existing(stage)}
    compared = {name: each for name, each in found.items() if each}
    if not compared:
        return Finding(None, ["There is no full fine-tuning, or no existing method below 1 %, to compare."])
    listed = "; ".join(f"{name} {_told(each)}" for name, each in compared.items())
    return Finding(
        all_of(falls_short(each) for each in compared.values()),
        [f"{stage.measure} against {stage.reference}: {listed}."],
    )


def _slow(stage: StageStudy, learning: Figures) -> Finding:
    full, others = stage.reference, _existing(stage)
    if not full or not others:
        return Finding(None, ["There is no full fine-tuning, or no existing method below 1 %, to compare."])
    if not learning:
        return Finding(None, ["How the methods learn was not analysed."])
    heights = {name: _numbers(stage, learning, name, "auc") for name in (full, *others)}
    swings = {name: _numbers(stage, learning, name, "oscillation") for name in (full, *others)}
    slow = compare_seeds([(heights[full], heights[name]) for name in others])
    unsteady = compare_seeds([(swings[name], swings[full]) for name in others])
    spread = ", ".join(f"{name} {stage.spread[name][stage.measure].sd:.3f}" for name in (full, *others))
    seeds = [f"Standard deviation of {stage.measure} over seeds, too few to test: {spread}."]
    return Finding(
        all_of(answer for answer, _ in (*slow, *unsteady)),
        [
            f"Mean height of the curve on dev: {_listed(heights, dict(zip(others, slow, strict=True)))}.",
            f"Steps to 95 % of what {full} gains on dev: {_steps(learning, [full, *others])}.",
            f"Oscillation of the loss: {_listed(swings, dict(zip(others, unsteady, strict=True)))}.",
            *(seeds if len(stage.seeds) > 1 else []),
        ],
    )


def _best(stage: StageStudy, learning: Figures) -> Finding:
    answers: list[Answer] = []
    evidence = []
    for name in _iaa(stage):
        full, rival = stage.against_full(name), stage.against_rival(name)
        if full and rival:
            beats, short = falls_short(rival.turned()), falls_short(full)
            answers.append(all_of([beats, None if short is None else not short]))
            evidence.append(
                f"{name} in {stage.measure}: against {stage.rival(name)}, the best other, {_told(rival)}; "
                f"against {stage.reference} {_told(full)}."
            )
    if not answers:
        return Finding(None, ["There is no IAA, no full fine-tuning or no other method of IAA’s budget."])
    return Finding(any_of(answers), evidence)


def _smooth(stage: StageStudy, learning: Figures) -> Finding:
    duels = [(name, other) for name in _iaa(stage) for other in stage.peers(name)]
    if not duels:
        return Finding(None, ["There is no IAA, or no other method of its budget."])
    if not learning:
        return Finding(None, ["How the methods learn was not analysed."])
    names = list(dict.fromkeys(name for duel in duels for name in duel))
    heights = {name: _numbers(stage, learning, name, "auc") for name in names}
    sharpness = {name: _numbers(stage, learning, name, "sharpness") for name in names}
    faster = compare_seeds([(heights[name], heights[other]) for name, other in duels])
    smoother = compare_seeds([(sharpness[other], sharpness[name]) for name, other in duels])
    answers = [
        all_of(
            answer
            for (one, _), both in zip(duels, zip(faster, smoother, strict=True), strict=True)
            for answer, _ in both
            if one == name
        )
        for name in _iaa(stage)
    ]
    return Finding(
        any_of(answers),
        [
            f"Mean height of the curve on dev: {_duels(heights, duels, faster)}.",
            f"Steps to 95 % of what full fine-tuning gains on dev: {_steps(learning, names)}.",
            f"Sharpness, the largest eigenvalue of the loss: {_duels(sharpness, duels, smoother)}.",
        ],
    )


def _told(found: Comparison) -> str:
    return f"{found} with {_p(found.corrected['two_level'])}"


def _p(value: float) -> str:
    if math.isnan(value):
        return "no test"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _numbers(stage: StageStudy, learning: Figures, name: str, figure: str) -> list[float]:
    """The figure, a number a seed: the mean of its folds, which share most of what they train on."""
    values = learning.get(name, {}).get(figure, [])
    if stage.single == "fold":
        of_seed = [(draw(entry).number, value) for entry, value in zip(stage.trainings, values, strict=True)]
        by_seed = {seed: [value for of, value in of_seed if of == seed] for seed in stage.seeds}
        values = [_mean_of_known(folds) for folds in by_seed.values()]
    return [value for value in values if value is not None]


def _mean_of_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _listed(figures: dict[str, list[float]], tested: dict[str, tuple[Answer, float]]) -> str:
    """Means over seeds by variant, with the p-value of those that were tested."""
    return ", ".join(
        f"{name} {f'{mean(values):.3g}' if values else 'unknown'}"
        + (f" ({_p(tested[name][1])})" if name in tested else "")
        for name, values in figures.items()
    )


def _duels(
    figures: dict[str, list[float]], duels: list[tuple[str, str]], tested: list[tuple[Answer, float]]
) -> str:
    """By variant: its mean over seeds, and those of the variants that it was tested against."""
    told = []
    for name in dict.fromkeys(one for one, _ in duels):
        met = {other: found for (one, other), found in zip(duels, tested, strict=True) if one == name}
        others = _listed({other: figures[other] for other in met}, met)
        told.append(f"{_listed({name: figures[name]}, {})} against {others}")
    return "; ".join(told)


def _steps(learning: Figures, names: list[str]) -> str:
    """The steps to 95 % of full fine-tuning's gain by variant, a number a model."""
    told = []
    for name in names:
        steps = learning.get(name, {}).get("steps_to", {}).get("0.95", [])
        each = " / ".join("never" if step is None else f"{step:,}" for step in steps)
        told.append(f"{name} {each or 'unknown'}")
    return ", ".join(told)
