"""The rows of the results: the systems of each task, in the order of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from peftir.study.tasks import TaskName

NO_SEED = -1
"""The value of the column ``seed`` for rows without a seed: BM25 and untrained variants."""
_SUFFIX = "+bm25"


@dataclass(frozen=True)
class Row:
    """BM25, a variant alone, or a re-ranker whose scores are interpolated with BM25's."""

    variant: str | None
    """``None`` for BM25."""
    interpolated: bool = False

    @property
    def name(self) -> str:
        """The row's name in tables and files, such as ``bm25``, ``lora`` or ``lora+bm25``."""
        return "bm25" if self.variant is None else self.variant + _SUFFIX * self.interpolated

    @staticmethod
    def of(name: str) -> Row:
        """The row called ``name``."""
        variant = name.removesuffix(_SUFFIX)
        return BM25 if name == "bm25" else Row(variant, variant != name)

    def of_variant(self, variant: str) -> Row:
        """The row of another variant, interpolated if this one is."""
        return Row(variant, self.interpolated)


BM25 = Row(None)


def rows_of(task: TaskName, variants: Iterable[str]) -> Iterator[Row]:
    """Yield BM25 and each of ``variants``; for re-ranking, each also interpolated with BM25."""
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
