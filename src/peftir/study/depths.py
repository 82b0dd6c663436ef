"""How deep rankings go, and whether that is as deep as what is taken from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from peftir.study import negatives
from peftir.study.rows import BM25_NAME

if TYPE_CHECKING:
    from peftir.study.params import Params

Depths = dict[str, int]
"""By key of ``params.yaml``."""


def problem(given: Params) -> str | None:
    """The first setting that asks for more than a list holds, with the key of either."""
    for key, wanted, lists in _taken(given):
        for other, depth in lists.items():
            if wanted > depth:
                return f"{key}: {wanted}: expected {depth} at most, since {other} is {depth}"
    for key, measure, lists in _measured(given):
        for other, depth in lists.items():
            if cutoff(measure) > depth:
                return (
                    f"{key}: '{measure}': expected a cutoff of {depth} at most, since {other} "
                    f"is {depth} and no ranking goes further"
                )
    return None


def _measured(given: Params) -> Iterator[tuple[str, str, Depths]]:
    """The key and name of each measure of rankings that are written, and what cuts these."""
    depths = {"retrieval": of_retrieval(given), "reranking": of_reranking(given)}
    for key, task, measures in given.measure_lists():
        yield from ((key, measure, depths[task]) for measure in measures)
    for name, block in given.lexical.items():
        if block.selected_by:
            yield f"lexical.{name}.selected_by", block.selected_by, {"bm25.depth": given.bm25.depth}


def of_retrieval(given: Params) -> Depths:
    """What cuts the rankings that retrieval's table compares."""
    return {"bm25.depth": given.bm25.depth, "retrieval.depth": given.retrieval.depth}


def of_reranking(given: Params) -> Depths:
    """What cuts the rankings that re-ranking's table compares."""
    return _of_first_stages(given) | {"reranking.keep": given.reranking.keep}


def of_candidates(given: Params) -> Depths:
    """What cuts the ranking that is re-ranked."""
    if given.reranking.first_stage in (BM25_NAME, *given.lexical):
        return {"bm25.depth": given.bm25.depth}
    return {"retrieval.depth": given.retrieval.depth}


def _of_first_stages(given: Params) -> Depths:
    """What cuts the candidates and, where there are chains, both rankings that these start from."""
    return of_candidates(given) | (of_retrieval(given) if given.chains else {})


def cutoff(measure: str) -> int:
    """The rank down to which ``measure``, as ir-measures spells it, looks; 0 for one that looks at all."""
    found = re.search(r"@(\d+)$|\bcutoff=(\d+)", measure)
    return int(found[1] or found[2]) if found else 0


def _taken(given: Params) -> Iterator[tuple[str, int, Depths]]:
    sources = negatives.depths_of(given)
    yield (
        "reranking.depth",
        given.reranking.depth,
        {"reranking.keep": given.reranking.keep} | _of_first_stages(given),
    )
    yield "reranker.dev_depth", given.reranker.dev_depth, of_candidates(given)
    if given.retriever.hard_negatives:
        source = given.retriever.negatives_from
        yield "retriever.negatives_depth", given.retriever.negatives_depth, dict([sources[source]])
        for mined in given.mining.values():
            if given.methods[mined.variant].learning_rate:
                source = mined.negatives_from
                yield "retriever.negatives_depth", given.retriever.negatives_depth, dict([sources[source]])
    source = given.reranker.negatives_from
    yield "reranker.negatives_depth", given.reranker.negatives_depth, dict([sources[source]])
    for name, teacher in given.teachers.items():
        yield f"teachers.{name}.depth", teacher.depth, dict([sources[teacher.negatives_from]])
