"""The rows of the results: what ranks the test queries at each task, in the order of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from peftir.study.tasks import TaskName

NO_SEED = -1
"""What stands for the seed in tables of rows that none has an influence on: BM25 and untrained variants."""
_SUFFIX = "+bm25"


@dataclass(frozen=True)
class Row:
    """BM25, a variant by itself, or a re-ranker whose scores are interpolated with BM25's."""

    variant: str | None
    """``None`` for BM25."""
    interpolated: bool = False

    @property
    def name(self) -> str:
        """What the row is called in tables and files: ``bm25``, ``lora`` or ``lora+bm25``."""
        return "bm25" if self.variant is None else self.variant + _SUFFIX * self.interpolated

    @staticmethod
    def of(name: str) -> Row:
        """The row of that name."""
        variant = name.removesuffix(_SUFFIX)
        return BM25 if name == "bm25" else Row(variant, variant != name)

    def of_variant(self, variant: str) -> Row:
        """The row of another variant that is interpolated as this one is."""
        return Row(variant, self.interpolated)


BM25 = Row(None)


def rows_of(task: TaskName, variants: Iterable[str]) -> Iterator[Row]:
    """BM25, each of ``variants`` and, at re-ranking, each beside itself interpolated with BM25."""
    yield BM25
    for variant in variants:
        yield Row(variant)
        if task == "reranking":
            yield Row(variant, interpolated=True)


def start_of(task: TaskName, untrained: Sequence[str]) -> Row | None:
    """The row that training began from: the first untrained variant, or BM25, whose ranking is re-ranked.

    ``None`` at retrieval without an untrained variant.
    """
    return BM25 if task == "reranking" else next(map(Row, untrained), None)
