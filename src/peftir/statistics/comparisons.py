"""Means and intervals of the rows of the results, and tests of pairs of rows, from the per-query table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from peftir.statistics.bootstrap import intervals
from peftir.statistics.significance import (
    ALPHA,
    error_over_seeds,
    holm,
    randomization_test,
    t_test,
    two_level_test,
)
from peftir.study.rows import Row

DECIMALS = 6  # of measures; more than the report shows, to avoid rounding twice
DIGITS = 3  # significant digits of p-values
TESTS = ("two_level", "t_test", "randomization")

Values = dict[str, NDArray[np.float64]]
"""The values of each row of the results, shape ``[seeds, queries]``."""

Families = Mapping[str, Sequence[Collection[tuple[str, str]]]]
"""By stage: sets of pairs of rows, in either order, whose p-values are corrected together."""


@dataclass(frozen=True)
class Spread:
    """A line of :func:`spread`: a row's mean, its standard deviation over seeds, and its 95 % interval."""

    queries: int
    seeds: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class RowComparison:
    """A line of :func:`comparisons`: the difference of two rows, its 95 % interval, and p-values by test.

    Corrected p-values are nan for a pair in no family.
    """

    difference: float
    low: float
    high: float
    p: dict[str, float]
    corrected: dict[str, float]

    @property
    def significant(self) -> bool:
        """Whether the difference is significant by the corrected two-level test."""
        return self.corrected["two_level"] <= ALPHA

    @property
    def same(self) -> bool:
        """Whether the rows are equal for every query, as with identical models, so that there is no test."""
        return self.difference == self.low == self.high == 0

    @property
    def interval(self) -> str:
        """The interval as text; ``none`` if the rows are the same."""
        return "none" if self.same else f"{signed(self.low)} to {signed(self.high)}"

    def __str__(self) -> str:
        """The difference with its interval."""
        return f"{signed(self.difference)} ({'every query alike' if self.same else self.interval})"

    def reversed(self) -> RowComparison:
        """The comparison with the two rows swapped."""
        return replace(self, difference=-self.difference, low=-self.high, high=-self.low)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``queries``, ``seeds``, ``mean``, ``sd``, ``low`` and ``high`` by stage, row and measure.

    ``sd`` is the standard deviation of the seeds' means, nan for one seed; ``low`` and ``high`` are the ends
    of the mean's 95 % interval, see :func:`peftir.statistics.bootstrap.intervals`.

    Args:
        table: from :func:`peftir.pipeline.evaluate.per_query`.
    """
    return pd.concat([_spread(*block) for block in _blocks(table)], ignore_index=True)


def comparisons(
    table: pd.DataFrame, families: Families, unpooled: Mapping[str, Collection[str]] | None = None
) -> pd.DataFrame:
    """Test the difference ``row`` − ``other`` of each pair of rows, by stage and measure.

    Pairs are formed among the rows without interpolation, and among the interpolated rows and what these are
    interpolated with.
    ``low`` and ``high`` are the ends of the 95 % interval of ``difference`` by the two-level test. Each test
    of ``TESTS`` has a column of p-values, and one with the suffix ``_holm`` of p-values after Holm's
    correction within the pair's family at that measure, nan if it is in none. With one seed the first two
    tests are the same.

    Args:
        table: from :func:`peftir.pipeline.evaluate.per_query`.
        families: the families of tests for Holm's correction; a pair may be in one family of a stage.
        unpooled: by stage, rows whose pairs have no part in the error over seeds that is pooled over pairs.

    Raises:
        ValueError: a pair of ``families`` is not compared.
    """
    blocks = [
        _comparisons(*block, families.get(block[0], ()), (unpooled or {}).get(block[0], ()))
        for block in _blocks(table)
    ]
    return pd.concat(blocks, ignore_index=True)


def signed(value: float) -> str:
    """Format ``value`` with three decimals and a sign (U+2212 for minus); zero has no sign."""
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", "−")


def pairs(rows: list[str]) -> list[tuple[str, str]]:
    """The pairs of ``rows`` that are compared, each with the later row first."""
    mixed = [row for row in map(Row.of, rows) if row.interpolated]
    alone = [row for row in rows if not Row.of(row).interpolated]
    also = {row.name for row in mixed} | {row.base for row in mixed}
    interpolated = [row for row in rows if row in also]
    return [(row, other) for group in (alone, interpolated) for other, row in combinations(group, 2)]


def _blocks(table: pd.DataFrame) -> Iterator[tuple[str, str, Values]]:
    """Yield each stage and measure with the values by row, in the order of the table."""
    for (stage, measure), block in table.groupby(["stage", "measure"], sort=False):
        rows = block.groupby("row", sort=False)
        values = {row: lines.pivot(index="seed", columns="query", values="value") for row, lines in rows}
        yield stage, measure, {row: grid.to_numpy(float) for row, grid in values.items()}


def _spread(stage: str, measure: str, values: Values) -> pd.DataFrame:
    ends: dict[str, NDArray[np.float64]] = {}
    for seeds in {len(grid) for grid in values.values()}:
        rows = [row for row, grid in values.items() if len(grid) == seeds]
        ends |= dict(zip(rows, intervals(np.stack([values[row] for row in rows])), strict=True))
    lines = [
        {
            "stage": stage,
            "row": row,
            "measure": measure,
            "queries": grid.shape[1],
            "seeds": grid.shape[0],
            "mean": grid.mean(),
            "sd": grid.mean(axis=1).std(ddof=1) if len(grid) > 1 else np.nan,
            "low": ends[row][0],
            "high": ends[row][1],
        }
        for row, grid in values.items()
    ]
    return pd.DataFrame(lines).round(DECIMALS)


def _comparisons(
    stage: str,
    measure: str,
    values: Values,
    families: Sequence[Collection[tuple[str, str]]],
    unpooled: Collection[str],
) -> pd.DataFrame:
    compared = pairs(list(values))
    indices = [_indices(compared, family) for family in families]
    differences = [values[row] - values[other] for row, other in compared]
    over_seeds = fmean(
        error_over_seeds(each)
        for pair, each in zip(compared, differences, strict=True)
        if not {*pair} & {*unpooled}
    )
    tests = [two_level_test(each, at_least=over_seeds) for each in differences]
    table = pd.DataFrame(compared, columns=["row", "other"])
    table.insert(0, "stage", stage)
    table.insert(1, "measure", measure)
    for name, column in (("difference", "mean"), ("low", "low"), ("high", "high")):
        table[name] = np.round([getattr(each, column) for each in tests], DECIMALS)
    p_values: dict[str, list[float]] = {
        "two_level": [each.p for each in tests],
        "t_test": [t_test(each).p for each in differences],
        "randomization": randomization_test(
            np.stack([each.mean(axis=0) for each in differences], axis=1)
        ).tolist(),
    }
    for test in TESTS:
        table[test] = _rounded(p_values[test])
        corrected = np.full(len(compared), np.nan)
        for family in indices:
            corrected[family] = holm([p_values[test][index] for index in family])
        table[f"{test}_holm"] = _rounded(corrected.tolist())
    return table


def _indices(compared: list[tuple[str, str]], family: Collection[tuple[str, str]]) -> list[int]:
    """The indices in ``compared`` of the pairs of ``family``."""
    index_of = {frozenset(pair): index for index, pair in enumerate(compared)}
    if unknown := [pair for pair in family if frozenset(pair) not in index_of]:
        raise ValueError(f"{unknown[0]}: expected a pair of rows that are compared")
    return sorted({index_of[frozenset(pair)] for pair in family})


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
