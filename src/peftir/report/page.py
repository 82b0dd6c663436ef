"""The report as one self-contained page that opens offline."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from peftir.report import figures, learning, sentences, testsets, variants
from peftir.report.answers import words
from peftir.report.cells import Table
from peftir.report.claims import claims_of
from peftir.report.explorer import Explorer
from peftir.report.results import numbers_behind, results, tests
from peftir.report.study import StageStudy, Study
from peftir.report.style import BY_DAY, BY_NIGHT, Looks, looks_of
from peftir.report.summary import summary
from peftir.report.svg import Drawn
from peftir.report.templating import environment
from peftir.study.sources import shown
from peftir.study.tasks import TITLES

LOSSES = {
    **dict.fromkeys(("contrastive", "listwise"), "The cross-entropy of the relevant document"),
    "kl": "The divergence of the model’s distribution over a query’s documents from the teacher’s",
    "margin_mse": "The squared difference between the model’s margins and the teacher’s",
    "ranknet": "The cross-entropy of the relevant document in pairs with its negatives",
    "hinge": "The hinge loss of the relevant document in pairs with its negatives",
}


@dataclass(frozen=True)
class LearningSection:
    """What the analysis of learning found."""

    table: Table
    explanation: str
    drawings: list[Drawn]
    surfaces: list[Drawn]


@dataclass(frozen=True)
class Section:
    """All that the page shows of one stage; the interpolation is the re-ranker's alone."""

    stage: StageStudy
    title: str
    results: Table
    explanation: str
    marks: str | None
    notes: list[str]
    tests: Table
    asked: str
    """The comparisons whose p-values are corrected together."""
    trade_off: Drawn
    interpolation: Drawn | None
    weights: Table | None
    curves: list[Drawn]
    learning: LearningSection | None
    costs: Table
    steps: Table | None
    """What the steps of training take."""
    costly: list[Drawn]
    """Quality against memory and against seconds."""


def render_page(study: Study, explorer: Explorer) -> str:
    """``report/index.html``: the tables of ``results.md``, what the variants cost, and how they learn."""
    looks = looks_of(study.variants)
    return (
        environment("peftir.report")
        .get_template("page.html")
        .render(
            study=study,
            params=study.params,
            methods=variants.methods(study),
            counts=sentences.counts(study),
            seeds=sentences.seeds,
            collection=shown(study.params.collection.source),
            backbone=shown(study.params.backbone.name),
            splits=sentences.splits(study),
            about_claims=sentences.CLAIMS,
            claims=claims_of(study),
            titles=TITLES,
            words=words,
            numbers_behind=numbers_behind,
            testsets=testsets,
            sections=[_section(study, stage, looks) for stage in (study.retrieval, study.reranking)],
            looks=looks,
            by_day=BY_DAY,
            by_night=BY_NIGHT,
            explorer=explorer,
            summary=summary(study),
        )
    )


def _section(study: Study, stage: StageStudy, looks: Looks) -> Section:
    reranks = stage.task == "reranking"
    return Section(
        stage=stage,
        title=TITLES[stage.task],
        results=results(stage),
        explanation=sentences.explanation(stage),
        marks=sentences.marks(stage),
        notes=sentences.notes(study, stage),
        tests=tests(stage),
        asked=sentences.corrected_together(stage),
        trade_off=_trade_off(stage, looks),
        interpolation=_interpolation(stage, looks) if reranks else None,
        weights=variants.interpolation_weights(stage) if reranks else None,
        curves=[_dev_curves(stage, looks), _loss_curves(stage, looks)] if stage.trained else [],
        learning=_learning(stage, looks),
        costs=variants.costs(stage),
        steps=variants.steps(stage),
        costly=_costly(stage, looks) if stage.trained else [],
    )


def _learning(stage: StageStudy, looks: Looks) -> LearningSection | None:
    if stage.learned is None or not stage.trained:
        return None
    return LearningSection(
        table=learning.table(stage, stage.learned),
        explanation=learning.explanation(stage),
        drawings=list(learning.drawings(stage, stage.learned, looks)),
        surfaces=list(learning.surfaces(stage, stage.learned, looks)),
    )


def _trade_off(stage: StageStudy, looks: Looks) -> Drawn:
    seeds = " and seeds" if len(stage.seeds) > 1 else ""
    caption = (
        f"{stage.measure} on the test queries over the number of weights trained in the encoder, with its "
        f"95 % interval (bootstrap over queries{seeds}).{_filled(stage)} The dashed lines need no training. "
        "Higher and further left is better."
    )
    return Drawn("Effectiveness against size", Markup(figures.trade_off(stage, looks)), caption)


def _filled(stage: StageStudy) -> str:
    """The meaning of filled and hollow marks; empty where all are filled."""
    if stage.task == "retrieval":
        return ""
    first = stage.rows[0].title
    return f" A filled mark is the re-ranker interpolated with {first}, a hollow one the re-ranker alone."


def _costly(stage: StageStudy, looks: Looks) -> list[Drawn]:
    whole = "the GPU" if stage.on_gpu else "the whole process, libraries included"
    memory = (
        f"{stage.measure} on the test queries, with its 95 % interval, over the peak memory of {whole} in "
        f"training.{_filled(stage)} Higher and further left is better."
    )
    seconds = (
        "The same over the seconds of a training’s steps, as means over its trainings, on the machine that "
        "ran the study."
    )
    return [
        Drawn("Effectiveness against memory", Markup(figures.against_memory(stage, looks)), memory),
        Drawn("Effectiveness against time", Markup(figures.against_seconds(stage, looks)), seconds),
    ]


def _interpolation(stage: StageStudy, looks: Looks) -> Drawn:
    several = len(stage.trainings) > 1
    marks = (
        f"The filled marks are the selected weights, one per {stage.single}, which were used on the test "
        "queries."
        if several
        else "The filled mark is the selected weight, which was used on the test queries."
    )
    caption = (
        f"{stage.settings.selected_by} on the dev queries over the weight of the re-ranker’s "
        f"score{f', as a mean over {stage.single}s' if several else ''}. {stage.rows[0].title}’s score has 1 "
        f"minus this weight. {marks}"
    )
    return Drawn("Interpolation", Markup(figures.interpolation(stage, looks)), caption)


def _dev_curves(stage: StageStudy, looks: Looks) -> Drawn:
    caption = (
        f"{stage.settings.selected_by} of the {sentences.MODELS[stage.task]} on a sample of the "
        f"dev queries over the optimizer steps; step 0 is {sentences.start_of(stage)}. The filled mark is "
        f"the step that was kept.{sentences.thin_lines(stage)}"
    )
    return Drawn("Learning", Markup(figures.dev_curves(stage, looks)), caption, wide=True)


def _loss_curves(stage: StageStudy, looks: Looks) -> Drawn:
    caption = (
        f"{LOSSES[stage.settings.loss]}, at each point the mean over the steps since the "
        "previous point. A lower loss is a better fit to the training queries, but not necessarily a better "
        "ranking."
    )
    return Drawn("Training loss", Markup(figures.loss_curves(stage, looks)), caption, wide=True)
