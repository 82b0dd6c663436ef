"""Detect settings with which nothing can be learned, or no step can be selected on dev."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peftir.study.params import Params

ORDER_WITHIN = re.compile(r"(?:P|R|Recall|Success|SetP|SetR|SetF|SetAP|Num\w+)\b[^@]*(?:@(\d+))?")
"""Measures that ignore the order of the documents above their cutoff, with the cutoff."""


def problem(given: Params) -> str | None:
    """The first such setting, with its key and the expected value; ``None`` if there is none."""
    retriever, reranker = given.retriever, given.reranker
    if not retriever.hard_negatives:
        for key, queries in (
            ("retriever.batch_size", retriever.batch_size),
            ("learning.queries.retriever", given.learning.queries.retriever),
        ):
            if queries == 1:
                return (
                    f"{key}: 1: expected 2 at least, since retriever.hard_negatives is 0: a query's document "
                    "alone is no choice, and the loss 0 whatever the weights"
                )
    for stage, key, documents in (
        ("retriever", "dev_documents", retriever.dev_documents),
        ("reranker", "dev_depth", reranker.dev_depth),
    ):
        measure = getattr(given, stage).selected_by
        if unordered(measure, documents):
            return (
                f"{stage}.selected_by: '{measure}': expected a measure that the order of the documents "
                f"changes, such as RR@10: {stage}.{key} is {documents}, and of so few it finds all"
            )
    return None


def unordered(measure: str, documents: int) -> bool:
    """Whether ``measure`` does not depend on the order of a ranking of ``documents`` documents."""
    match = ORDER_WITHIN.fullmatch(re.sub(r"\([^)]*\)", "", measure))
    return match is not None and (match[1] is None or int(match[1]) >= documents)
