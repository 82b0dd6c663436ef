"""The data of the report's query explorer: per query the measures, rankings and texts of every row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from peftir.data.collection import Collection, Qrels
from peftir.pipeline.evaluate import joined_run, rankings
from peftir.ranking.runs import Run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.tasks import TASKS, Task
from peftir.system.files import replacing

MOST_QUERIES = 400
"""More would make the report too large: beyond, those that the rows agree on most are left out."""
TOP = 5  # documents shown per ranking
CHARACTERS = 240  # shown of a document's text
DECIMALS = 4


@dataclass
class _Texts:
    """Numbers for the documents that are shown, in the order of first use."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, document: str) -> int:
        return self.numbers.setdefault(document, len(self.numbers))


def write_explorer(root: Path, params: Params) -> Iterator[Path]:
    """Write ``metrics/explorer.json`` and give its path.

    The values are means over seeds, from ``metrics/per_query.parquet``; the rankings are those of the first
    seed, with folds those of the models of the query's own fold.
    """
    text = json.dumps(explorer(root, params, MOST_QUERIES), ensure_ascii=False, separators=(",", ":"))
    with replacing(root / layout.EXPLORER) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    yield layout.EXPLORER


def explorer(root: Path, params: Params, most: int | None) -> dict[str, Any]:
    """The explorer's data, of ``most`` queries at most; of all if ``None``.

    ``tasks`` has each task's name, title, first measure and rows. A query has its ``id``, ``text``, number of
    ``words``, ``relevant`` documents (number and grade), ``shared`` (how many of its distinct words the first
    relevant document has) and per task ``values`` and ``top`` (documents by number) by row, and ``ranks`` of
    the relevant documents by row (``None`` where they are not in the run). ``documents`` has ids and texts by
    number, ``depth`` how many documents are shown of a ranking, ``left_out`` how many queries are not shown.
    """
    collection = Collection(root / layout.COLLECTION)
    qrels, texts = collection.qrels("test"), collection.queries("test")
    table = pd.read_parquet(root / layout.PER_QUERY)
    values = {task.name: _values(table, task, params.measures.at(task.name)[0]) for task in TASKS}
    chosen = _most_different(values.values(), [query for query in texts if query in qrels], most)
    documents = _Texts()
    relevant = {query: _relevant(qrels, query) for query in chosen}
    runs = {task.name: _runs(root, params, task) for task in TASKS}
    queries: list[dict[str, Any]] = [
        {
            "id": query,
            "text": texts[query],
            "relevant": [[documents.number(document), grade] for document, grade in relevant[query].items()],
            "tasks": [
                {
                    "values": [float(value) for value in values[task.name].loc[query]],
                    "top": [
                        [documents.number(document) for document, _ in run.get(query, [])[:TOP]]
                        for run in runs[task.name].values()
                    ],
                    "ranks": [_ranks(run, query, relevant[query]) for run in runs[task.name].values()],
                }
                for task in TASKS
            ],
        }
        for query in chosen
    ]
    shown = list(documents.numbers)
    found = dict(zip(shown, collection.texts_of(shown)(shown), strict=True))
    for query in queries:
        query |= _features(query["text"], [found[document] for document in relevant[query["id"]]])
    return {
        "tasks": [
            {
                "name": task.name,
                "title": task.title,
                "measure": params.measures.at(task.name)[0],
                "rows": list(runs[task.name]),
            }
            for task in TASKS
        ],
        "queries": queries,
        "documents": [[document, _clipped(found[document])] for document in shown],
        "depth": TOP,
        "left_out": len(values[TASKS[0].name]) - len(chosen),
    }


def _values(table: pd.DataFrame, task: Task, measure: str) -> pd.DataFrame:
    """The mean over seeds of ``measure``: a line per query, a column per row in the order of the tables."""
    of_task = table[(table.stage == task.name) & (table.measure == measure)]
    rows = list(dict.fromkeys(of_task.row))
    return of_task.pivot_table(index="query", columns="row", values="value")[rows].round(DECIMALS)


def _most_different(values: Iterable[pd.DataFrame], queries: list[str], most: int | None) -> list[str]:
    """At most ``most`` of ``queries``: those on which the rows differ most, in their order."""
    spread = sum(frame.max(axis=1) - frame.min(axis=1) for frame in values)
    ranked = sorted(queries, key=lambda query: -spread[query])  # stable
    chosen = set(ranked[:most])
    return [query for query in queries if query in chosen]


def _runs(root: Path, params: Params, task: Task) -> dict[str, Run]:
    """The test run of the first seed, by row."""
    found: dict[str, Run] = {}
    for ranking in rankings(params):
        if ranking.task == task.name and ranking.row.name not in found:
            found[ranking.row.name] = joined_run(root, ranking)
    return found


def _relevant(qrels: Qrels, query: str) -> dict[str, int]:
    """The relevant documents of a query with their grades, best first."""
    grades = {document: grade for document, grade in qrels[query].items() if grade > 0}
    return dict(sorted(grades.items(), key=lambda item: -item[1])[:TOP])


def _ranks(run: Run, query: str, relevant: Iterable[str]) -> list[int | None]:
    ranks = {document: rank for rank, (document, _) in enumerate(run.get(query, []), start=1)}
    return [ranks.get(document) for document in relevant]


def _features(query: str, relevant: list[str]) -> dict[str, int | None]:
    words = set(_words(query))
    return {
        "words": len(_words(query)),
        "shared": len(words.intersection(_words(relevant[0]))) if relevant else None,
    }


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _clipped(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS].rsplit(maxsplit=1)[0]} …"
