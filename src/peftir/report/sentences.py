"""What has to be said beside the results, in the same words in both forms of the report."""

from __future__ import annotations

from peftir.report.intervals import RESAMPLES
from peftir.report.study import StageStudy, Study

TITLES = {"retrieval": "Retrieval", "reranking": "Re-ranking"}
MODELS = {"retrieval": "retriever", "reranking": "re-ranker"}


def counts(study: Study) -> dict[str, int]:
    """How many documents and queries the collection has, by what they are."""
    splits = {f"{split} queries": number for split, number in study.queries.items()}
    return {"documents": study.documents} | splits


def seeds(stage: StageStudy) -> str:
    """``seed 13`` or ``seeds 13, 14``."""
    return f"seed{'s' if len(stage.seeds) > 1 else ''} {', '.join(map(str, stage.seeds))}"


def explanation(stage: StageStudy) -> str:
    """What the numbers of a results table are."""
    over = " and over seeds" if len(stage.seeds) > 1 else ""
    text = (
        f"Means over {len(stage.per_query):,} test queries{over}; the best trained value is bold. "
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


def noise(stage: StageStudy) -> str | None:
    """How large a difference has to be to mean something; ``None`` where there is nothing to compare."""
    rows = [row for row in stage.differences if row.removesuffix("+bm25") in stage.trained]
    if not rows:
        return None
    reach = max(stage.differences[row].reach for row in rows)
    like = "; BM25 is compared with the re-ranker alone" if stage.task == "reranking" else ""
    seeds = (
        "A query counts with its mean over the seeds; how far seeds differ is not part of the interval."
        if len(stage.seeds) > 1
        else "How far another seed would differ is not part of it: there is only one."
    )
    return (
        f"Differences in {stage.measure} below {reach:.3f} may well be chance: with this many queries, the "
        f"95 % interval of a trained variant’s difference to {stage.reference} reaches up to {reach:.3f} to "
        f"either side (paired bootstrap over queries, {RESAMPLES:,} draws{like}). {seeds}"
    )
