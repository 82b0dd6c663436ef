"""Settings under which nothing can be learned, or no step told from another on dev."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peftir.study.params import Params

ORDER_WITHIN = re.compile(r"(?:P|R|Recall|Success|SetP|SetR|SetF|SetAP|Num\w+)\b[^@]*(?:@(\d+))?")
"""Measures that do not see the order of what they look at, with how far they look."""


def problem(given: Params) -> str | None:
    """The first such setting, with its key and what was expected."""
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
    """Whether ``measure`` is the same in whatever order ``documents`` are ranked."""
    found = ORDER_WITHIN.fullmatch(re.sub(r"\([^)]*\)", "", measure))
    return found is not None and (found[1] is None or int(found[1]) >= documents)
