"""The tables of the chains: what each first stage reaches alone and behind each re-ranker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from peftir.report.cells import NONE, Cell, Group, Table, TableRow, decimals, p_value
from peftir.report.measured import read_comparisons, read_spread
from peftir.statistics.comparisons import RowComparison, Spread
from peftir.statistics.significance import ALPHA
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.chain import ALONE, INTERPOLATED, RRF, WITH_FIRST, first_stages
from peftir.study.rows import BM25_NAME, Row
from peftir.study.seeds import numbers

if TYPE_CHECKING:
    from peftir.study.params import Params


@dataclass(frozen=True)
class ChainStudy:
    """What the chains with a retriever reach, by re-ranker as in the column ``reranker`` of their tables."""

    retriever: str
    test: str | None
    """The test set; None for the collection's own test queries."""
    measures: list[str]
    seeds: int
    """The number of seeds of the re-rankers."""
    spread: dict[str, dict[str, dict[str, Spread]]]
    """By re-ranker, first stage and measure."""
    comparisons: dict[str, dict[str, dict[tuple[str, str], RowComparison]]]
    """By re-ranker, measure and pair of first stages; corrected are those with BM25."""

    @property
    def title(self) -> str:
        """The heading of the table."""
        return f"Chains with {self.retriever}" + (f" on {self.test}" if self.test else "")

    @property
    def name(self) -> str:
        """The same as one word."""
        return "-".join(filter(None, ("chains", self.test, self.retriever)))

    def table(self) -> Table:
        """A group a re-ranker, a line a first stage, with the difference to that re-ranker behind BM25."""
        first, *others = self.measures
        columns = [first, "vs BM25 as first stage (95 % interval)", "p", *others]
        groups = [
            Group(_title(reranker), [self._row(reranker, stage) for stage in first_stages(self.retriever)])
            for reranker in self.spread
        ]
        return Table(columns, groups)

    def explanation(self) -> str:
        """What the lines are, and what the test says."""
        over = " and over the re-rankers’ seeds" if self.seeds > 1 else ""
        return (
            f"Means over the test queries{over}. The first stages are BM25, {self.retriever}, their "
            "reciprocal rank fusion (Cormack et al. 2009) and their interpolation, with the weight that was "
            "best on dev. Each re-ranker scores the top of each of them, alone or interpolated with the "
            "first stage’s score, with a weight from dev of its own. * marks a significant difference to the "
            f"same re-ranker behind BM25: two-tailed, p ≤ {ALPHA} by the two-level test after Holm’s "
            "correction over the first stages of one re-ranker."
        )

    def _row(self, reranker: str, stage: str) -> TableRow:
        first, *others = self.measures
        found = self.comparisons[reranker][first].get((stage, BM25_NAME))
        marks = "*" if found and found.significant else ""
        versus = [Cell(str(found), found.difference), p_value(found, "two_level")] if found else [NONE] * 2
        measured = [self._measured(reranker, stage, name) for name in (first, *others)]
        cells = [replace(measured[0], marks=marks), *versus, *measured[1:]]
        return TableRow(self._stage_title(stage), None, cells)

    def _measured(self, reranker: str, stage: str, measure: str) -> Cell:
        found = self.spread[reranker][stage][measure]
        spread = None
        if self.seeds > 1:
            spread = "" if reranker == ALONE else f"{found.sd:.3f}"
        return replace(decimals(found.mean, 3), spread=spread)

    def _stage_title(self, stage: str) -> str:
        fused = {RRF: "reciprocal rank fusion", INTERPOLATED: "interpolation"}
        title = Row.of(stage).title
        return f"BM25 and {self.retriever}, {fused[stage]}" if stage in fused else title


def _title(reranker: str) -> str:
    if reranker == ALONE:
        return "First stage alone"
    variant = reranker.removesuffix(WITH_FIRST)
    return f"Re-ranked by {variant}" + ", interpolated with the first stage" * (variant != reranker)


def read_chains(root: Path, params: Params) -> Iterator[ChainStudy]:
    """The results of the chains with each retriever of ``params``, on its own test queries and test sets.

    Raises:
        PeftirError: an artefact is missing or not as expected.
    """
    rerankers = [ALONE]
    for variant in params.variants.reranker:
        rerankers += [variant, variant + WITH_FIRST]
    for test, retriever in product([None, *params.tests], params.chains):
        stages = list(first_stages(retriever))
        measures = ((params.tests[test].measures if test else None) or params.measures).reranking
        spread, comparisons = (
            Artefact(
                root,
                layout.of(test, layout.of_chains(retriever, path)),
                "evaluate_chain_test" if test else "evaluate_chain",
            )
            for path in (layout.SPREAD, layout.COMPARISONS)
        )
        yield ChainStudy(
            retriever=retriever,
            test=test,
            measures=measures,
            seeds=len(numbers(params.seeds.reranker)),
            spread={name: read_spread(spread, name, stages, measures, "reranker") for name in rerankers},
            comparisons={
                name: read_comparisons(comparisons, name, stages, measures, "reranker") for name in rerankers
            },
        )
