"""Tables of the report, independent of the output format."""

from __future__ import annotations

from dataclasses import dataclass

from peftir.report import evidence
from peftir.report.study import ParameterCounts
from peftir.statistics.comparisons import RowComparison


@dataclass(frozen=True)
class Cell:
    """One value: its text, and the value to sort by (``None`` is last)."""

    text: str
    value: float | str | None
    strong: bool = False
    quiet: bool = False
    spread: str | None = None
    """The text after ±; empty if this value has none, ``None`` if the column has none."""
    marks: str | None = None
    """A combination of ``*`` and ``†``; ``None`` if the column has no marks."""


NONE = Cell("–", None)


@dataclass(frozen=True)
class TableRow:
    """A line of a table: its name, the variant whose marker it shows, if any, and its values."""

    name: str
    variant: str | None
    cells: list[Cell]
    note: str = ""
    """A note on the whole line."""

    @property
    def title(self) -> str:
        """The name, followed by the note in parentheses."""
        return f"{self.name} ({self.note})" if self.note else self.name


@dataclass(frozen=True)
class Group:
    """A group of lines under one title."""

    title: str | None
    rows: list[TableRow]


@dataclass(frozen=True)
class Table:
    """Names of the columns after the first, and the lines; the first ``words`` columns contain text."""

    columns: list[str]
    groups: list[Group]
    words: int = 0


def text(value: str) -> Cell:
    """A cell with text."""
    return Cell(value, value)


def count(value: float) -> Cell:
    """A cell with an integer."""
    return Cell(f"{value:,.0f}", value)


def decimals(value: float, places: int) -> Cell:
    """A cell with a number rounded to ``places`` decimals."""
    return Cell(f"{value:.{places}f}", value)


def p_value(found: RowComparison, test: str) -> Cell:
    """A cell with the corrected p-value of ``test``."""
    return Cell(*evidence.p_value(found, test))


def weights_trained(weights: ParameterCounts) -> list[Cell]:
    """Cells with the number of trained weights of the encoder, and their share."""
    share = "100 %" if weights.share == 1 else f"{100 * weights.share:.2f} %"
    return [count(weights.trained), Cell(share, weights.share)]
