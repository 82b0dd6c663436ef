"""What has to be said beside the results, in the same words in both forms of the report."""

from __future__ import annotations

from peftir.report.study import StageStudy, Study
from peftir.statistics.significance import ALPHA

TITLES = {"retrieval": "Retrieval", "reranking": "Re-ranking"}
CLAIMS = (
    "What Ma et al. 2022 claim, and what this study says to it. A claim is decided by tests alone, and it "
    "takes several seeds; docs/statistics.md has the rules."
)
BEHIND_CLAIMS = "The numbers behind the claims"
MODELS = {"retrieval": "retriever", "reranking": "re-ranker"}


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
    reaches = [max(each.high - each.difference, each.difference - each.low) for each in found if each]
    if not reaches:
        return None
    several = len(stage.seeds) > 1
    spread = "± is the standard deviation over seeds. " if several else ""
    test = (
        "a test that takes both queries and seeds as drawn by chance"
        if several
        else "the paired t-test over queries, which with one seed says nothing of how another seed would do"
    )
    return (
        f"{spread}* differs from {stage.reference}, and † from the best other method that trains about as "
        f"many weights, by {test}: two-tailed, p ≤ {ALPHA} after Holm’s correction over all pairs of rows. "
        f"The 95 % interval of a difference in {stage.measure} to {stage.reference} reaches up to "
        f"{max(reaches):.3f} to either side, so that smaller ones may well be chance."
    )
