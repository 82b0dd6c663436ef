"""The claims about learning: how fast and steadily, and how smooth the loss surface is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from peftir.report.answers import Answer, BySeed, all_of, any_of, compare_seeds, why_open_over_seeds
from peftir.report.evidence import (
    NOT_TESTED,
    Evidence,
    Figures,
    ReportedValue,
    average,
    numbers,
    probability,
    steps_to_full,
)
from peftir.report.rules import (
    Beside,
    StageAnswer,
    cannot,
    comparable_iaa,
    existing,
    iaa,
    lacking,
    undecided,
)
from peftir.report.study import StageResults

Name = TypeVar("Name")
SeedPairs = dict[Name, tuple[BySeed, BySeed]]
"""Figures of learning to compare: the first is expected to be larger."""


def slow(stage: StageResults, learning: Figures, beside: Beside) -> StageAnswer:
    """The second claim: existing methods learn more slowly and less steadily than full fine-tuning."""
    full, others = stage.reference, existing(stage)
    if lacks := lacking({"full fine-tuning": full, "existing method below 1 %": others}):
        return lacks
    assert full is not None
    if not learning:
        return cannot("The analysis of learning was not run.")
    mean_heights = {name: numbers(stage, learning, name, "auc") for name in (full, *others)}
    oscillations = {name: numbers(stage, learning, name, "oscillation") for name in (full, *others)}
    slower = _tested(_slower(stage, learning), [_slower(*each) for each in beside])
    unsteady = _tested(_unsteady(stage, learning), [_unsteady(*each) for each in beside])
    sd = {name: stage.spread[name][stage.measure].sd for name in (full, *others)}
    lines = {
        name: [
            average(mean_heights[name]),
            _p(slower, name),
            steps_to_full(learning, name),
            average(oscillations[name]),
            _p(unsteady, name),
            ReportedValue(f"{sd[name]:.3f}", sd[name]) if len(stage.seeds) > 1 else NOT_TESTED,
        ]
        for name in (full, *others)
    }
    answer = all_of(answer for tested in (slower, unsteady) for answer, _ in tested.values())
    figures = {"mean height": slower, "oscillation": unsteady}
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
                *undecided(answer, _open_figures(figures)),
            ],
        ),
    )


def smooth(stage: StageResults, learning: Figures, beside: Beside) -> StageAnswer:
    """The fourth claim: IAA converges faster and has a smoother loss surface than its peers."""
    kinds, left_out = comparable_iaa(stage)
    if lacks := lacking({"IAA": iaa(stage), "other method of IAA’s budget": kinds}):
        return lacks
    if not learning:
        return cannot("The analysis of learning was not run.")
    names = list(dict.fromkeys(name for kind in kinds for name in (kind, *stage.peers(kind))))
    mean_heights = {name: numbers(stage, learning, name, "auc") for name in names}
    sharpness = {name: numbers(stage, learning, name, "sharpness") for name in names}
    faster = _tested(_faster(stage, learning), [_faster(*each) for each in beside])
    smoother = _tested(_smoother(stage, learning), [_smoother(*each) for each in beside])
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
                *undecided(answer, _open_figures(figures)),
            ],
        ),
    )


def _slower(stage: StageResults, learning: Figures) -> SeedPairs[str]:
    return _with_full(stage, learning, "auc")


def _unsteady(stage: StageResults, learning: Figures) -> SeedPairs[str]:
    return {name: (other, full) for name, (full, other) in _with_full(stage, learning, "oscillation").items()}


def _with_full(stage: StageResults, learning: Figures, figure: str) -> SeedPairs[str]:
    """``figure`` of full fine-tuning and of each existing method; empty without full fine-tuning."""
    if stage.reference is None:
        return {}
    full = numbers(stage, learning, stage.reference, figure)
    return {name: (full, numbers(stage, learning, name, figure)) for name in existing(stage)}


def _faster(stage: StageResults, learning: Figures) -> SeedPairs[tuple[str, str]]:
    return _with_peers(stage, learning, "auc")


def _smoother(stage: StageResults, learning: Figures) -> SeedPairs[tuple[str, str]]:
    pairs = _with_peers(stage, learning, "sharpness")
    return {names: (other, own) for names, (own, other) in pairs.items()}


def _with_peers(stage: StageResults, learning: Figures, figure: str) -> SeedPairs[tuple[str, str]]:
    """``figure`` of each variant of IAA and of each other method of its budget."""
    return {
        (name, other): (numbers(stage, learning, name, figure), numbers(stage, learning, other, figure))
        for name in comparable_iaa(stage)[0]
        for other in stage.peers(name)
    }


def _open_figures(figures: dict[str, dict[str, tuple[Answer, float]]]) -> Iterable[tuple[str, str]]:
    return [
        (f"{figure} of {name}", why_open_over_seeds(p))
        for figure, tested in figures.items()
        for name, (answer, p) in tested.items()
        if answer is None
    ]


def _tested(pairs: SeedPairs[Name], beside: Iterable[SeedPairs[Name]]) -> dict[Name, tuple[Answer, float]]:
    """The result of :func:`compare_seeds` for each pair, by its name; corrected with the pairs ``beside``.

    What was trained once for several studies is compared once.
    """
    compared = [*pairs.values()]
    for each in (pair for study in beside for pair in study.values()):
        if each not in compared:
            compared.append(each)
    return dict(zip(pairs, compare_seeds(compared), strict=False))


def _p(tested: dict[Name, tuple[Answer, float]], name: Name) -> ReportedValue:
    """The p-value of the test called ``name``, if there is one."""
    return probability(tested[name][1]) if name in tested else NOT_TESTED
