"""The rows of the results: the systems of each task, in the order of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from peftir.study.tasks import TaskName

NO_SEED = -1
"""The value of the column ``seed`` for rows without a seed: lexical rankings and untrained variants."""
BM25_NAME = "bm25"


@dataclass(frozen=True)
class Row:
    """A ranking without a model, a variant alone, or a re-ranker that is interpolated with such a ranking."""

    variant: str | None
    """``None`` for a ranking without a model, or for the candidates of re-ranking."""
    interpolated: bool = False
    base: str = BM25_NAME
    """The ranking without a model, or the one whose scores are interpolated with the re-ranker's."""

    @property
    def name(self) -> str:
        """The row's name in tables and files, such as ``bm25``, ``lora`` or ``lora+bm25``."""
        return self.base if self.variant is None else self.variant + f"+{self.base}" * self.interpolated

    @property
    def title(self) -> str:
        """The row's name in the report, such as ``BM25``, ``lora`` or ``lora + BM25``."""
        base = "BM25" if self.base == BM25_NAME else self.base
        return base if self.variant is None else self.variant + f" + {base}" * self.interpolated

    @staticmethod
    def of(name: str) -> Row:
        """The row called ``name``; any other than BM25 that is not interpolated is taken for a variant."""
        variant, plus, base = name.partition("+")
        if plus:
            return Row(variant, interpolated=True, base=base)
        return BM25 if name == BM25_NAME else Row(name)

    def of_variant(self, variant: str) -> Row:
        """The row of another variant, interpolated if this one is."""
        return Row(variant, self.interpolated, self.base)


BM25 = Row(None)


def name_of(candidates: str) -> str:
    """The name of the ranking that ``reranking.candidates`` names by its folder."""
    return candidates.rpartition("/")[2]


def rows_of(
    task: TaskName, variants: Iterable[str], candidates: str = BM25_NAME, lexical: Iterable[str] = ()
) -> Iterator[Row]:
    """Yield the rows of ``task``.

    Args:
        task: for retrieval BM25, the ``lexical`` rankings and the variants; for re-ranking the candidates,
            and each variant alone and interpolated with them.
        variants: those of the task.
        candidates: the name of the ranking that is re-ranked.
        lexical: names of further rankings without a model.
    """
    if task == "retrieval":
        yield BM25
        yield from (Row(None, base=name) for name in lexical)
        yield from map(Row, variants)
        return
    yield Row(None, base=candidates)
    for variant in variants:
        yield Row(variant)
        yield Row(variant, interpolated=True, base=candidates)


def start_of(task: TaskName, untrained: Sequence[str], candidates: str = BM25_NAME) -> Row | None:
    """The row that training began from: the first untrained variant, or the candidates that are re-ranked.

    ``None`` at retrieval without an untrained variant.
    """
    return Row(None, base=candidates) if task == "reranking" else next(map(Row, untrained), None)
