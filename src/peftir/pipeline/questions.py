"""The comparisons that the report asks for, by family: p-values of one family are corrected together.

A family holds all comparisons that one statement of the report rests on, so that the statement is wrong by
chance in at most 5 of 100 studies:

- *marks*: each row against full fine-tuning, and IAA against the other methods of its budget. These are the
  marks of a column in a table of results, and what claims 1 and 3 rest on.
- *baselines*: each trained variant against the untrained backbone, or BM25 where there is none; each
  re-ranker against the candidates.

The rows that rank by themselves and those that are interpolated have families of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from peftir.report.rivals import Competitor, baselines, peers
from peftir.study.rows import BM25, Row
from peftir.study.tasks import TaskName

RowPair = tuple[str, str]


def families_of(
    task: TaskName, competitors: Mapping[str, Competitor], without_model: Sequence[str] = (BM25.name,)
) -> list[list[RowPair]]:
    """The pairs of rows that are compared at ``task``, by family; a pair of both is one of the marks.

    Args:
        task: retrieval or re-ranking.
        competitors: the variants of ``task``, untrained ones included.
        without_model: the rows without a model; re-rankers are interpolated with the first.
    """
    found = []
    for interpolated in (False, True) if task == "reranking" else (False,):
        row_of = {name: Row(name, interpolated, without_model[0]).name for name in competitors}
        marks = list(_marks(competitors, row_of, without_model))
        known = {frozenset(pair) for pair in marks}
        others = _with_baselines(competitors, row_of, without_model[0])
        found += [marks, [pair for pair in others if frozenset(pair) not in known]]
    return found


def _marks(
    competitors: Mapping[str, Competitor], row_of: dict[str, str], without_model: Sequence[str]
) -> Iterator[RowPair]:
    """``row_of`` is the row of each variant."""
    full = next((name for name, each in competitors.items() if each.kind == "full"), None)
    if full is not None:
        yield from ((row, row_of[full]) for row in (*without_model, *row_of.values()) if row != row_of[full])
    for name, each in competitors.items():
        if each.kind == "iaa":
            yield from ((row_of[name], row_of[peer]) for peer in peers(name, competitors))


def _with_baselines(
    competitors: Mapping[str, Competitor], row_of: dict[str, str], first: str
) -> Iterator[RowPair]:
    for name, each in competitors.items():
        if each.trained:
            yield from ((row_of[name], row_of.get(row, row)) for row in baselines(competitors, first))
