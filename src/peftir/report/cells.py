"""What tables are made of, before anyone decides how they look."""

from __future__ import annotations

from dataclasses import dataclass

from peftir.report import evidence
from peftir.report.study import ParameterCounts
from peftir.statistics.comparisons import RowComparison


@dataclass(frozen=True)
class Cell:
    """One value: as it is shown, and as it is sorted (``None`` comes last)."""

    text: str
    value: float | str | None
    strong: bool = False
    quiet: bool = False
    spread: str | None = None
    """What stands behind the value with a ± before it; ``None`` where no value of the table has one."""
    marks: str | None = None
    """Any of ``*`` and ``†``; ``None`` where there cannot be one."""


NONE = Cell("–", None)


@dataclass(frozen=True)
class TableRow:
    """A line of a table: what it is about, the variant whose mark it bears if any, and its values."""

    name: str
    variant: str | None
    cells: list[Cell]
    note: str = ""
    """What has to be known of the whole line."""

    @property
    def title(self) -> str:
        """The name, with the note behind it."""
        return f"{self.name} ({self.note})" if self.note else self.name


@dataclass(frozen=True)
class Group:
    """Lines that belong together."""

    title: str | None
    rows: list[TableRow]


@dataclass(frozen=True)
class Table:
    """Column names, without that of the first, and the lines; the first ``words`` columns are not numbers."""

    columns: list[str]
    groups: list[Group]
    words: int = 0


def text(value: str) -> Cell:
    """Words."""
    return Cell(value, value)


def count(value: float) -> Cell:
    """A whole number."""
    return Cell(f"{value:,.0f}", value)


def decimals(value: float, places: int) -> Cell:
    """A number with so many decimals."""
    return Cell(f"{value:.{places}f}", value)


def p_value(found: RowComparison, test: str) -> Cell:
    """The corrected p-value of a test."""
    return Cell(*evidence.p_value(found, test))


def weights_trained(weights: ParameterCounts) -> list[Cell]:
    """How many weights of the encoder are trained, and their share of it."""
    share = "100 %" if weights.share == 1 else f"{100 * weights.share:.2f} %"
    return [count(weights.trained), Cell(share, weights.share)]
