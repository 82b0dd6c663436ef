"""Measures of a run against relevance judgements, computed by ir-measures.

Names are ir-measures': ``RR@10`` (reciprocal rank, the mean of which is MRR@10), ``nDCG@10``, ``R@1000``,
``AP``, ``RR(rel=2)@10``. A document is relevant from grade 1 on unless the name says otherwise. Two providers
are pinned, so that a number does not depend on what else is installed: trec_eval's own code (pytrec_eval)
wherever it has the measure, and MS MARCO's for the reciprocal rank with a cutoff, which trec_eval lacks.

A query counts if it is judged: one that the run lacks, or that has no relevant document, counts 0, and one
that the run has but nobody judged is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import ir_measures
import pandas as pd

from peftir.ranking.runs import Run
from peftir.system.errors import PeftirError

PROVIDER = ir_measures.providers.FallbackProvider([ir_measures.pytrec_eval, ir_measures.msmarco])


def parse_measure(name: str) -> ir_measures.Measure:
    """The measure that ``name`` stands for.

    Raises:
        PeftirError: it stands for none, or for one with a cutoff below 1.
    """
    try:
        measure = ir_measures.parse_measure(name)
        known = PROVIDER.supports(measure) and measure.params.get("cutoff", 1) > 0
    except (ValueError, NameError, TypeError, KeyError, AttributeError, AssertionError):
        known = False
    if not known:
        raise PeftirError(f"measure {name!r} is not known; expected one like RR@10, nDCG@10, R@1000 or AP")
    return measure


def evaluate(run: Run, qrels: Mapping[str, Mapping[str, int]], measures: Sequence[str]) -> pd.DataFrame:
    """Each of ``measures`` for each judged query.

    Args:
        run: the ranking is the order of each query's documents; the scores do not count.
        qrels: grades by query and document.
        measures: names, see :func:`parse_measure`.

    Returns:
        A line a measure and query, measures as given and queries sorted, with the columns ``query``,
        ``measure`` (the name as given) and ``value``.

    Raises:
        PeftirError: a measure is not known.
    """
    parsed = {name: parse_measure(name) for name in measures}
    # Falling scores without ties, so that every provider sees the run's own order.
    ranks = {
        query: {document: -float(rank) for rank, (document, _) in enumerate(run[query])}
        for query in qrels
        if run.get(query)
    }
    judged = {query: dict(grades) for query, grades in qrels.items()}
    values = {
        (metric.measure, metric.query_id): float(metric.value)
        for metric in PROVIDER.iter_calc(set(parsed.values()), judged, ranks)
    }
    lines = [
        (query, name, values[measure, query]) for name, measure in parsed.items() for query in sorted(qrels)
    ]
    return pd.DataFrame(lines, columns=["query", "measure", "value"])


def mean_of(run: Run, qrels: Mapping[str, Mapping[str, int]], measure: str) -> float:
    """The mean of one measure over the judged queries.

    Raises:
        PeftirError: the measure is not known, or no query is judged.
    """
    values = evaluate(run, qrels, [measure])["value"]
    if values.empty:
        raise PeftirError(
            f"{measure}: no query is judged; expected at least one judgement to evaluate against"
        )
    return math.fsum(values) / len(values)
