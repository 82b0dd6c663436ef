"""Test measures of the chains with a retriever, and their differences to the chain that starts from BM25."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from peftir.data.collection import Collection
from peftir.ranking.measures import evaluate
from peftir.ranking.runs import read_run
from peftir.statistics.comparisons import comparisons, spread
from peftir.study import layout
from peftir.study.blocks import Measures
from peftir.study.chain import ALONE, WITH_FIRST, first_stages
from peftir.study.params import Params
from peftir.study.rows import BM25_NAME, NO_SEED
from peftir.system.files import replacing


def write_chain_metrics(
    root: Path, params: Params, retriever: str, test: str | None = None, measures: Measures | None = None
) -> Iterator[Path]:
    """Evaluate the chains with ``retriever``; write means and comparisons, and give the files' paths.

    Args:
        root: the study's folder.
        params: the study's settings.
        retriever: the name of the retriever's run.
        test: the test set; the collection's own test queries if ``None``.
        measures: the study's if ``None``.
    """
    names = measures.reranking if measures else params.measures.reranking
    yield from write_tables(root, per_query(root, params, retriever, test, names), retriever, test)


def write_tables(root: Path, table: pd.DataFrame, retriever: str, test: str | None = None) -> Iterator[Path]:
    """Write how sure the means and differences of ``table``, as of :func:`per_query`, are; give the paths.

    The column ``reranker`` is a variant, with a suffix if it is interpolated with the first stage, or
    ``none``; ``row`` is the first stage. P-values are corrected over the first stages of one re-ranker.
    """
    others = [name for name in first_stages(retriever) if name != BM25_NAME]
    families = {
        str(reranker): [[(name, BM25_NAME) for name in others]] for reranker in table["stage"].unique()
    }
    for path, found in ((layout.SPREAD, spread(table)), (layout.COMPARISONS, comparisons(table, families))):
        path = layout.of(test, layout.of_chains(retriever, path))
        with replacing(root / path) as partial:
            named = found.rename(columns={"stage": "reranker"})
            named.to_csv(partial, sep="\t", index=False, na_rep="nan", lineterminator="\n")
        yield path


def per_query(
    root: Path, params: Params, retriever: str, test: str | None, measures: list[str]
) -> pd.DataFrame:
    """One line a re-ranker (the column ``stage``), first stage (``row``), seed, query and measure.

    All rankings are cut at the same depth, so that a measure looks as far down one as down another.
    """
    qrels = Collection(root / layout.of(test, layout.COLLECTION)).qrels("test")
    depth = min(params.bm25.depth, params.retrieval.depth, params.reranking.keep)
    tables = []
    for reranker, row, seed, path in _rankings(params, retriever):
        hits_of = read_run(root / layout.of(test, path))
        run = {query: hits[:depth] for query, hits in hits_of.items()}
        tables.append(evaluate(run, qrels, measures).assign(stage=reranker, row=row, seed=seed))
    return pd.concat(tables, ignore_index=True)


def _rankings(params: Params, retriever: str) -> Iterator[tuple[str, str, int, Path]]:
    """Re-ranker, first stage, seed and run of every ranking, re-ranker by re-ranker."""
    stages = first_stages(retriever)
    yield from ((ALONE, name, NO_SEED, path / "test.trec") for name, path in stages.items())
    for variant in params.variants.reranker:
        for suffix, file in (("", "test.trec"), (WITH_FIRST, "test.interpolated.trec")):
            for name, path in stages.items():
                for seed in params.seeds.reranker:
                    folder = layout.chain(retriever, variant, seed) / name
                    if path == layout.run(params.reranking.candidates):
                        folder = layout.runs("reranking", variant, seed)
                    yield variant + suffix, name, int(seed), folder / file
