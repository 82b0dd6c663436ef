"""The report in three sentences: the best at each task, how sure that is, and the claims."""

from __future__ import annotations

from collections import Counter

from peftir.report.claims import claims_of
from peftir.report.study import StageStudy, Study
from peftir.study.rows import Row
from peftir.study.tasks import TITLES

VERDICTS = {True: "hold", False: "do not hold", None: "are not decided"}


def summary(study: Study) -> list[str]:
    """A sentence for retrieval, one for re-ranking, and one for the claims."""
    return [_best(study.retrieval), _best(study.reranking), _claims(study)]


def _best(stage: StageStudy) -> str:
    """The trained row with the best mean, against full fine-tuning, else against a baseline."""
    rows = [row for row in stage.rows if row.variant in stage.trained]
    title, measure = TITLES[stage.task], stage.measure
    if not rows:
        return f"{title}: no variant was trained."
    best = max(rows, key=lambda row: stage.mean(row.name))
    reference = best.of_variant(stage.reference) if stage.reference else Row.of(stage.baselines[0])
    if best == reference:
        rest = [row for row in rows if row.interpolated == best.interpolated and row != best]
        if not rest:
            return f"{title}: {best.title} has the best {measure}, {stage.mean(best.name):.3f}."
        reference = max(rest, key=lambda row: stage.mean(row.name))
    found = stage.comparisons[measure][best.name, reference.name]
    sure = "significant" if found.significant else "not significant"
    seeds = len(stage.seeds)
    return (
        f"{title}: {best.title} has the best {measure}, {stage.mean(best.name):.3f}; the difference to "
        f"{reference.title} is {found}, {sure} with {seeds} seed{'s' if seeds > 1 else ''} and "
        f"{stage.queries:,} queries."
    )


def _claims(study: Study) -> str:
    counts = Counter(claim.answer for claim in claims_of(study))
    found = ", ".join(f"{counts[answer]} {text}" for answer, text in VERDICTS.items() if counts[answer])
    return f"Of the paper’s {counts.total()} claims, {found}."
