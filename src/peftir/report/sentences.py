"""The sentences beside the results, the same in all formats of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peftir.report import published
from peftir.report.study import ModelRecord, StageStudy, Study
from peftir.statistics.significance import ALPHA
from peftir.study.rows import Row
from peftir.study.tasks import TASKS

CLAIMS = (
    "The claims of Ma et al. 2022, and whether they hold in this study. A claim is decided only by "
    "significance tests, which need several seeds; docs/statistics.md has the rules."
)
BEHIND_CLAIMS = "The numbers behind the claims"
FEW_DEV_QUERIES = 10
"""With fewer, the selection of a step or a weight is mostly chance."""
MODELS = {task.name: task.model for task in TASKS}


def counts(study: Study) -> dict[str, int]:
    """The numbers of documents and of queries per split."""
    splits = {f"{split} queries": number for split, number in study.queries.items() if number}
    return {"documents": study.documents} | splits


def seeds(stage: StageStudy) -> str:
    """``seed 13`` or ``seeds 13, 14``, with the number of folds if there are any."""
    folds = f" in {len(stage.trainings) // len(stage.seeds)} folds" if stage.single == "fold" else ""
    return f"seed{'s' if len(stage.seeds) > 1 else ''} {', '.join(map(str, stage.seeds))}{folds}"


def thin_lines(stage: StageStudy) -> str:
    """The meaning of thin lines in a learning curve; empty if there are none."""
    if len(stage.trainings) < 2:
        return ""
    return f" Thin lines are single {stage.single}s, thick ones their mean."


def explanation(stage: StageStudy) -> str:
    """The explanation of a results table."""
    over = " and over seeds" if len(stage.seeds) > 1 else ""
    text = (
        f"Means over {stage.queries:,} test queries{over}; the best value of a trained variant is "
        f"bold.{_mrr(stage)} Weights trained counts the encoder’s trained weights, biases included; share is "
        "their share of all its weights."
    )
    if stage.task == "retrieval":
        return text
    first = stage.rows[0].title
    heads = sorted({stage.weights(name).head for name in stage.variants})
    head = " or ".join(f"{number:,}" for number in heads)
    return (
        f"{text} The head ({head} weights) is trained too and counted separately. All re-rankers score the "
        f"same candidates; the row {first} is {first}’s ranking of them. Rows with + {first} are "
        f"interpolated: they rank by a weighted sum of the re-ranker’s and {first}’s scores, both scaled to "
        "0 … 1 within each query, with the weight that was best on dev."
    )


def _mrr(stage: StageStudy) -> str:
    """The usual name of the measure that ir-measures calls RR, if it is among the columns."""
    names = [measure for measure in stage.measures if measure.startswith("RR@")]
    return f" {names[0]} is ir-measures’ name for M{names[0]}." if names else ""


def marks(stage: StageStudy) -> str | None:
    """The meaning of the marks and ±, and the width of the intervals; ``None`` without full fine-tuning."""
    found = [stage.against_full(name) for name in stage.small]
    if not any(found):
        return None
    half_widths = [
        max(each.high - each.difference, each.difference - each.low)
        for each in found
        if each and not each.same
    ]
    several = len(stage.seeds) > 1
    spread = "± is the standard deviation over seeds. " if several else ""
    test = (
        "The test takes both queries and seeds as random"
        if several
        else "The test is the paired t-test over queries, which with one seed says nothing about other seeds"
    )
    reach = (
        f" The 95 % intervals of differences in {stage.measure} to {stage.reference} extend up to "
        f"{max(half_widths):.3f} to either side, so smaller differences may be due to chance."
        if half_widths
        else ""
    )
    rivals = ", † one of IAA to the best other method that trains about as many weights" * _has_rivals(stage)
    return (
        f"{spread}* marks a significant difference to {stage.reference}{rivals}. {test}. It is two-tailed, "
        f"with p ≤ {ALPHA} after Holm’s correction over {corrected_together(stage)}.{reach}"
    )


def corrected_together(stage: StageStudy) -> str:
    """The family of comparisons whose p-values are corrected together."""
    found = [f"with {stage.reference}"] if stage.reference else []
    found += ["of IAA with the other methods of its budget"] * _has_rivals(stage)
    baselines = " and ".join(Row.of(row).title for row in stage.baselines)
    found.append(f"of each trained variant with {baselines}")
    apart = ", separately for the interpolated rows" if stage.task == "reranking" else ""
    return f"the comparisons {', '.join(found[:-1])}{' and ' * (len(found) > 1)}{found[-1]}{apart}"


def _has_rivals(stage: StageStudy) -> bool:
    return any(stage.rival(name) for name in stage.variants)


def splits(study: Study) -> list[str]:
    """Notes on the splits: folds, and queries held out as dev."""
    notes = []
    if study.folds:
        sizes = {split: [fold[split] for fold in study.folds] for split in ("train", "dev", "test")}
        notes.append(
            f"{len(study.folds)} folds, each of "
            + ", ".join(f"{_range(counts)} {split} queries" for split, counts in sizes.items())
            + "."
        )
    if study.dev_held_out:
        notes.append("The collection has no dev queries; a share of its train queries was held out as dev.")
    return notes


def notes(study: Study, stage: StageStudy) -> list[str]:
    """Notes on a results table: on model selection, and on BM25’s published measures."""
    found = _selection(study, stage)
    return [*found, *published.notes(study)] if stage.task == "retrieval" else found


def _selection(study: Study, stage: StageStudy) -> list[str]:
    """Notes on model selection on dev: few queries, untrained models, and ties."""
    notes = []
    dev = min([fold["dev"] for fold in study.folds] or [study.queries["dev"]])
    chosen_by = min(dev, stage.settings.dev_queries)
    if chosen_by < FEW_DEV_QUERIES:
        notes.append(
            f"The best step of each {MODELS[stage.task]} was selected by only {chosen_by} dev "
            f"quer{'y' if chosen_by == 1 else 'ies'}, fewer than {FEW_DEV_QUERIES}: another sample of so few "
            "may select another step."
        )
    if stage.task == "reranking" and dev < FEW_DEV_QUERIES <= stage.settings.dev_queries:
        notes.append("The interpolation weights were selected by as few.")
    if any(stage.untrained(name) for name in stage.trained):
        notes.append(
            f"Kept untrained: no training step was better on dev than step 0 ({start_of(stage)}), so step 0 "
            "was kept."
        )
    for choice, tied in (
        ("step", lambda model: (model.dev == model.dev.max()).sum() > 1),
        ("interpolation weight", lambda model: model.interpolation and model.interpolation.ties > 1),
    ):
        if names := _tied(stage, tied):
            notes.append(
                f"Several {choice}s were equally good on dev, and one was kept, for: {', '.join(names)}."
            )
    return notes


def _tied(stage: StageStudy, tied: Callable[[ModelRecord], Any]) -> list[str]:
    """The trained variants with models selected from a tie, and their number if not all."""
    found = []
    for name in stage.trained:
        models = stage.models[name]
        if count := sum(bool(tied(model)) for model in models):
            some = "" if count == len(models) else f" ({count} of {len(models)} {stage.single}s)"
            found.append(f"{name}{some}")
    return found


def _range(counts: list[int]) -> str:
    few, many = min(counts), max(counts)
    return f"{few:,}" if few == many else f"{few:,} to {many:,}"


def start_of(stage: StageStudy) -> str:
    """What training starts from, by the records of the trainings."""
    models = {name: stage.models[name][0] for name in stage.trained}
    start = "a head with random weights"
    if stage.task == "retrieval":
        start = "the untrained backbone"
    elif len(models) < len(stage.variants) or any(model.scores_untrained for model in models.values()):
        start = "the untrained re-ranker"
    given = [name for name, model in models.items() if model.start_from]
    if not given:
        return start
    adapter = "the adapter that its training went on from"
    return adapter if len(given) == len(models) else f"{start}, and for {', '.join(given)} {adapter}"
