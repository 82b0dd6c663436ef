"""What has to be said beside the results, in the same words in both forms of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peftir.report.study import ModelRecord, StageStudy, Study
from peftir.statistics.significance import ALPHA
from peftir.study.tasks import TASKS

CLAIMS = (
    "What Ma et al. 2022 claim, and what this study says to it. A claim is decided by tests alone, and it "
    "takes several seeds; docs/statistics.md has the rules."
)
BEHIND_CLAIMS = "The numbers behind the claims"
FEW_DEV_QUERIES = 10
"""Fewer than these choose a step, or a weight, as chance has it."""
MODELS = {task.name: task.model for task in TASKS}


def counts(study: Study) -> dict[str, int]:
    """How many documents and queries the collection has, by what they are."""
    splits = {f"{split} queries": number for split, number in study.queries.items() if number}
    return {"documents": study.documents} | splits


def seeds(stage: StageStudy) -> str:
    """``seed 13`` or ``seeds 13, 14``, and in how many folds if there are any."""
    folds = f" in {len(stage.trainings) // len(stage.seeds)} folds" if stage.single == "fold" else ""
    return f"seed{'s' if len(stage.seeds) > 1 else ''} {', '.join(map(str, stage.seeds))}{folds}"


def thin_lines(stage: StageStudy) -> str:
    """What thin lines are in a figure of learning; nothing where there are none."""
    if len(stage.trainings) < 2:
        return ""
    return f" Thin lines are single {stage.single}s, thick ones their mean."


def explanation(stage: StageStudy) -> str:
    """What the numbers of a results table are."""
    over = " and over seeds" if len(stage.seeds) > 1 else ""
    text = (
        f"Means over {stage.queries:,} test queries{over}; the best trained value is bold. "
        "Weights trained are the encoder’s, biases included, and their share of it"
    )
    if stage.task == "retrieval":
        return f"{text}."
    heads = sorted({stage.weights(name).head for name in stage.variants})
    head = " or ".join(f"{number:,}" for number in heads)
    return (
        f"{text}; the head ({head} weights) is trained too and counted apart. All re-rankers order the same "
        "candidates; the row BM25 is the order in which BM25 gave them. Rows with + BM25 are interpolated: "
        "they rank by a weighted sum of the re-ranker’s and BM25’s scores, both scaled to 0 … 1 within each "
        "query, with the weight that was best on dev."
    )


def marks(stage: StageStudy) -> str | None:
    """What the marks and ± mean, and how much chance there is; ``None`` without full fine-tuning."""
    found = [stage.against_full(name) for name in stage.small]
    if not any(found):
        return None
    reaches = [
        max(each.high - each.difference, each.difference - each.low)
        for each in found
        if each and not each.same
    ]
    several = len(stage.seeds) > 1
    spread = "± is the standard deviation over seeds. " if several else ""
    test = (
        "a test that takes both queries and seeds as drawn by chance"
        if several
        else "the paired t-test over queries, which with one seed says nothing of how another seed would do"
    )
    reach = (
        f" The 95 % interval of a difference in {stage.measure} to {stage.reference} reaches up to "
        f"{max(reaches):.3f} to either side, so that smaller ones may well be chance."
        if reaches
        else ""
    )
    return (
        f"{spread}* differs from {stage.reference}, and † from the best other method that trains about as "
        f"many weights, by {test}: two-tailed, p ≤ {ALPHA} after Holm’s correction over all pairs of rows."
        f"{reach}"
    )


def splits(study: Study) -> list[str]:
    """What has to be known of the splits beyond how many queries each has."""
    found = []
    if study.folds:
        sizes = {split: [fold[split] for fold in study.folds] for split in ("train", "dev", "test")}
        found.append(
            f"{len(study.folds)} folds, each of "
            + ", ".join(f"{_range(counts)} {split} queries" for split, counts in sizes.items())
            + "."
        )
    if study.dev_held_out:
        found.append("The collection has no dev queries; these are a share of its train queries, held out.")
    return found


def selection(study: Study, stage: StageStudy) -> list[str]:
    """What has to be known of the choices on dev: few queries, untrained models, and ties."""
    notes = []
    dev = min([fold["dev"] for fold in study.folds] or [study.queries["dev"]])
    chosen_by = min(dev, stage.settings.dev_queries)
    if chosen_by < FEW_DEV_QUERIES:
        notes.append(
            f"The best step of each {MODELS[stage.task]} was chosen by no more than {chosen_by} dev "
            f"quer{'y' if chosen_by == 1 else 'ies'}, fewer than {FEW_DEV_QUERIES}: another draw of so few "
            "may choose another."
        )
    if stage.task == "reranking" and dev < FEW_DEV_QUERIES <= stage.settings.dev_queries:
        notes.append("So were the interpolation weights.")
    if any(stage.untrained(name) for name in stage.trained):
        start = "the backbone as it comes" if stage.task == "retrieval" else "a head with random weights"
        notes.append(
            f"Kept untrained: no step of training was better on dev than step 0, {start}, so that was kept."
        )
    for what, tied in (
        ("step", lambda model: (model.dev == model.dev.max()).sum() > 1),
        ("interpolation weight", lambda model: model.interpolation and model.interpolation.ties > 1),
    ):
        if names := _tied(stage, tied):
            notes.append(f"Chosen among {what}s that were equally good on dev: that of {', '.join(names)}.")
    return notes


def _tied(stage: StageStudy, tied: Callable[[ModelRecord], Any]) -> list[str]:
    """The trained variants with models whose choice was a tie, and how many these are if not all."""
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
