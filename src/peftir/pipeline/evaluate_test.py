"""Measures of every run of a test set, and what training has changed there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from peftir.diff.digest import write_queries
from peftir.pipeline.corpus import remove_shared_index
from peftir.pipeline.evaluate import means, per_query, write_per_query, write_statistics
from peftir.pipeline.named import block_of
from peftir.statistics.comparisons import Families
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.rows import name_of, start_of
from peftir.study.tasks import TASKS
from peftir.system.files import write_json


def evaluate_test(root: Path, params: Params, test: str) -> Iterator[Path]:
    """Evaluate all runs of the test set ``test``; write what follows from them, and give the files' paths.

    An index that retrievers shared is of no use any more once all have ranked, and is removed.
    """
    table = per_query(root, params, test, block_of("tests", params.tests, test).measures)
    yield write_per_query(root, table, test)
    write_json(root / layout.means_of(test), {task.name: means(table, task.name) for task in TASKS})
    yield layout.means_of(test)
    yield from write_statistics(root, params, table, families(params), test)
    yield write_queries(root, table, test)
    remove_shared_index(root, test)


def families(params: Params) -> Families:
    """The comparisons that say what training has changed: at each task, of every row with where it began.

    Rows that rank by themselves and those that are interpolated have a family of their own.
    """
    found: dict[str, list[list[tuple[str, str]]]] = {}
    for task in TASKS:
        start = start_of(task.name, params.variants.untrained, name_of(params.reranking.candidates))
        rows = [row for row in params.rows(task.name) if row.variant is not None and row != start]
        alike = [[row.name for row in rows if row.interpolated == mixed] for mixed in (False, True)]
        found[task.name] = [[(name, start.name) for name in names] for names in alike if start and names]
    return found
