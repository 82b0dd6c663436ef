"""Evaluation of a run against qrels with ir-measures.

Measures are named as in ir-measures: ``RR@10`` (reciprocal rank, with the mean MRR@10), ``nDCG@10``,
``R@1000``, ``AP``, ``RR(rel=2)@10``. Unless the name says otherwise, documents with a grade of at least 1 are
relevant.

The providers are fixed, so that values do not depend on installed packages: trec_eval (pytrec_eval) if it has
the measure, or else MS MARCO's for the reciprocal rank with a cutoff.

Means are over the judged queries. A judged query that is missing in the run or has no relevant document
scores 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import ir_measures
import pandas as pd

from peftir.ranking.runs import Run
from peftir.system.errors import PeftirError

PROVIDER = ir_measures.providers.FallbackProvider([ir_measures.pytrec_eval, ir_measures.msmarco])


def parse_measure(name: str) -> ir_measures.Measure:
    """Parse the name of a measure.

    Raises:
        PeftirError: the measure is unknown or has a cutoff below 1.
    """
    try:
        measure = ir_measures.parse_measure(name)
        known = PROVIDER.supports(measure) and measure.params.get("cutoff", 1) > 0
    except (ValueError, NameError, TypeError, KeyError, AttributeError, AssertionError):
        known = False
    if not known:
        raise PeftirError(f"measure {name!r} is not known; expected one like RR@10, nDCG@10, R@1000 or AP")
    return measure


def check_measures(named: Iterable[tuple[str, str]]) -> None:
    """Look at measures, each given with the key that names it.

    Raises:
        PeftirError: one of them is not known; names its key.
    """
    for key, name in named:
        try:
            parse_measure(name)
        except PeftirError as error:
            raise PeftirError(f"{key}: {error}") from None


def evaluate(run: Run, qrels: Mapping[str, Mapping[str, int]], measures: Sequence[str]) -> pd.DataFrame:
    """Compute each of ``measures`` for each judged query.

    Args:
        run: the ranking is the order of each query's hits; scores are ignored.
        qrels: grades by query and document.
        measures: names, see :func:`parse_measure`.

    Returns:
        One row per measure, in their order, and query, sorted, with the columns ``query``, ``measure`` (the
        given name) and ``value``.

    Raises:
        PeftirError: a measure is unknown.
    """
    parsed = {name: parse_measure(name) for name in measures}
    # Descending scores without ties, so that every provider uses the order of the run.
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
        PeftirError: the measure is unknown, or no query is judged.
    """
    values = evaluate(run, qrels, [measure])["value"]
    if values.empty:
        raise PeftirError(
            f"{measure}: no query is judged; expected at least one judgement to evaluate against"
        )
    return math.fsum(values) / len(values)
