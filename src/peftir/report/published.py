"""BM25's measures as Anserini publishes them, beside those of a study on the same collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from peftir.report.study import Study
from peftir.statistics.comparisons import Spread
from peftir.study.rows import BM25

LARGE = 0.002
"""A difference above this is a warning."""
K1, B = 0.9, 0.4  # those of the published figures

# Number of test queries, then nDCG@10, R@100 and R@1000. The figures are those of the condition bm25-flat
# (title and text in one field) in pyserini/2cr/beir.yaml of Pyserini 1.6.0, the numbers of queries those of
# ir_datasets 0.6.
BEIR = {
    "arguana": (1_406, 0.3970, 0.9324, 0.9872),
    "climate-fever": (1_535, 0.1651, 0.4249, 0.6324),
    "dbpedia-entity": (400, 0.3180, 0.4682, 0.6760),
    "fever": (6_666, 0.6513, 0.9185, 0.9589),
    "fiqa": (648, 0.2361, 0.5395, 0.7393),
    "hotpotqa": (7_405, 0.6330, 0.7957, 0.8820),
    "nfcorpus": (323, 0.3218, 0.2457, 0.3704),
    "nq": (3_452, 0.3055, 0.7513, 0.8958),
    "quora": (10_000, 0.7886, 0.9733, 0.9950),
    "scidocs": (1_000, 0.1490, 0.3477, 0.5638),
    "scifact": (300, 0.6789, 0.9253, 0.9767),
    "trec-covid": (50, 0.5947, 0.1091, 0.3955),
    "webis-touche2020": (49, 0.4422, 0.5822, 0.8621),
}
# Of the condition bm25-default in pyserini/2cr/msmarco-v1-passage.yaml of Pyserini 1.6.0. Its recall on the
# TREC tracks counts grades from 2 as relevant, unlike R@1000.
MARCO = {
    "msmarco-passage": (6_980, {"RR@10": 0.1840, "R@1000": 0.8526}),
    "msmarco-passage/trec-dl-2019/judged": (43, {"nDCG@10": 0.5058}),
    "msmarco-passage/trec-dl-2020/judged": (54, {"nDCG@10": 0.4796}),
}


def published(source: str, queries: int) -> dict[str, float]:
    """BM25's published measures on a collection; none where they are not known or it is not whole.

    Args:
        source: as for ``collection.source``; the folder of a collection of BEIR has its name.
        queries: number of test queries.
    """
    kind, _, place = source.partition(":")
    if kind == "ir_datasets" and place in MARCO:
        count, values = MARCO[place]
        return values if count == queries else {}
    name = place.removesuffix("/test").rstrip("/").rpartition("/")[2]
    if name not in BEIR or (kind != "beir" and place.removesuffix("/test") != f"beir/{name}"):
        return {}
    count, *figures = BEIR[name]
    return dict(zip(("nDCG@10", "R@100", "R@1000"), figures, strict=True)) if count == queries else {}


def notes(study: Study) -> Iterator[str]:
    """A sentence for each set of test queries with published measures, and one if they differ."""
    bm25 = study.params.bm25
    if (bm25.k1, bm25.b) != (K1, B):
        return
    yield from _notes("the test queries", study.params.collection.source, study.retrieval.spread[BM25.name])
    for test in study.tests:
        source = study.params.tests[test.name].source
        yield from _notes(test.name, source, test.spread["retrieval"][BM25.name])


def _notes(where: str, source: str, measured: Mapping[str, Spread]) -> Iterator[str]:
    values = published(source, next(iter(measured.values())).queries)
    both = {name: (value, measured[name].mean) for name, value in values.items() if name in measured}
    if not both:
        return
    told = ", ".join(f"{name} {value:.4f} (here {mean:.4f})" for name, (value, mean) in both.items())
    yield f"Anserini’s published BM25 on {where}: {told}."
    if large := [name for name, (value, mean) in both.items() if abs(value - mean) > LARGE]:
        yield (
            f"Warning: BM25’s {' and '.join(large)} on {where} differ{'s' * (len(large) == 1)} from the "
            f"published value by more than {LARGE:g}. Another version of the collection or another treatment "
            "of its fields may be the reason; `peftir check` shows what was read."
        )
