"""Test measures of every run of the study: per query, their means, and what sets these apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from peftir.data.collection import Collection
from peftir.pipeline.questions import families_of
from peftir.ranking.measures import evaluate
from peftir.ranking.runs import Run, read_run
from peftir.report.rivals import Competitor, kind
from peftir.statistics.comparisons import Families, comparisons, spread
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.blocks import Measures
from peftir.study.depths import of_candidates
from peftir.study.params import Params
from peftir.study.rows import NO_SEED, Row, name_of, start_of
from peftir.study.seeds import Seed, draw, fold_of, numbers
from peftir.study.tasks import TASKS, UNTRAINED, Task, TaskName
from peftir.system.errors import PeftirError
from peftir.system.files import replacing, write_json

Described = dict[TaskName, dict[str, dict[str, Any]]]
"""The content of ``metrics/variants.json``: by task and variant, its type, weights and best steps."""

LINE = ["stage", "row", "seed", "query", "measure"]
DECIMALS = 4  # of means that people read as they are, with `dvc metrics show`


@dataclass(frozen=True)
class Ranking:
    """What a row of the results ranks with one seed, or with ``NO_SEED``."""

    task: TaskName
    row: Row
    seed: int
    runs: dict[int | None, Path]
    """By the fold whose test queries the run ranks for; ``None`` for one that ranks for all."""


def rankings(params: Params, test: str | None = None) -> Iterator[Ranking]:
    """All rankings that ``params`` asks for; leftovers of other variants on disk do not count.

    Those of the test set ``test`` are one a fold, since every fold's model ranks for all of its queries.
    """
    for task, stage in ((task.name, task.stage) for task in TASKS):
        entries = params.seeds.at(stage)
        for row in params.rows(task):
            name = "test.interpolated.trec" if row.interpolated else "test.trec"
            if row.variant is None:
                folder = _without_model(params, task, row)
                yield Ranking(task, row, NO_SEED, {None: layout.of(test, folder) / name})
                continue
            paths = {
                entry: layout.of(test, layout.runs(task, row.variant, entry)) / name
                for entry in ([None] if row.variant in params.variants.once(task) else entries)
            }
            for seed in [NO_SEED] if None in paths else numbers(entries):
                of_seed = {fold_of(entry): path for entry, path in paths.items() if _number(entry) == seed}
                if test is None:
                    yield Ranking(task, row, seed, of_seed)
                else:
                    yield from (Ranking(task, row, seed, {None: path}) for path in of_seed.values())


def _without_model(params: Params, task: TaskName, row: Row) -> Path:
    """The folder of the runs of a row without a model of ``task``."""
    if task == "reranking":
        return layout.run(params.reranking.candidates)
    return layout.runs(task, row.base, None) if row.base in params.lexical else layout.BM25_RUNS


def _number(entry: Seed | None) -> int:
    return NO_SEED if entry is None else draw(entry).number


def per_query(
    root: Path, params: Params, test: str | None = None, measures: Measures | None = None
) -> pd.DataFrame:
    """One line a task, row, seed, query and measure.

    All rankings of a task are cut at the same depth, so that a measure looks as far down one as down another.
    Judged queries that a run lacks count 0; queries without a judgement are left out. Where there are folds,
    each query counts with the run of its own fold, whose model has not seen it.

    Args:
        root: the study's folder.
        params: the study's settings.
        test: the test set; the collection's own test queries if ``None``. No fold's model has seen its
            queries, so where there are folds each counts with its mean over the folds' models.
        measures: the study's if ``None``.
    """
    qrels = Collection(root / layout.of(test, layout.COLLECTION)).qrels("test")
    depths = {
        "retrieval": min(params.bm25.depth, params.retrieval.depth),
        "reranking": min([params.reranking.keep, *of_candidates(params).values()]),
    }
    tables = []
    for ranking in rankings(params, test):
        names = (measures or params.measures).at(ranking.task)
        run = {query: hits[: depths[ranking.task]] for query, hits in joined_run(root, ranking).items()}
        values = evaluate(run, qrels, names)
        tables.append(values.assign(stage=ranking.task, row=ranking.row.name, seed=ranking.seed))
    table = pd.concat(tables, ignore_index=True)[[*LINE, "value"]]
    return table.groupby(LINE, sort=False, as_index=False)["value"].mean() if test else table


def joined_run(root: Path, ranking: Ranking) -> Run:
    """The runs of a ranking as one, each with its own fold's test queries."""
    joined: Run = {}
    for fold, path in ranking.runs.items():
        asked = Collection(root / layout.COLLECTION, fold).queries("test") if fold else None
        joined |= read_run(root / path, asked)
    return joined


def means(table: pd.DataFrame, task: TaskName) -> dict[str, dict[str, float]]:
    """Mean of each measure over queries and seeds, by row."""
    if table[table.stage == task].empty:
        raise PeftirError(f"metrics: no {task} run was evaluated")
    mean = table[table.stage == task].groupby(["row", "measure"], sort=False)["value"].mean().round(DECIMALS)
    return {
        row: {measure: float(value) for measure, value in values.droplevel("row").items()}
        for row, values in mean.groupby(level="row", sort=False)
    }


def write_metrics(root: Path, params: Params) -> Iterator[Path]:
    """Evaluate all runs; write the per-query table and what follows from it, and give their paths."""
    table, described = per_query(root, params), variants(root, params)
    yield write_per_query(root, table)
    for task in TASKS:
        write_json(root / layout.metrics(task.name), means(table, task.name))
        yield layout.metrics(task.name)
    write_json(root / layout.VARIANTS, described)
    yield layout.VARIANTS
    yield from write_statistics(root, params, table, families(described, params))


def variants(root: Path, params: Params) -> Described:
    """What the trainings wrote of each variant: its type, its weights, and the best step of each model.

    Raises:
        PeftirError: an artefact of training is missing or not as expected.
    """
    return {
        task.name: {name: _described(root, params, task, name) for name in params.variants.at(task.name)}
        for task in TASKS
    }


def _described(root: Path, params: Params, task: Task, variant: str) -> dict[str, Any]:
    untrained = variant in params.variants.once(task.name)
    stage = UNTRAINED[task.stage] if untrained else f"train_{task.stage}"
    artefacts = [
        Artefact(root, layout.training(task.stage, variant, seed), stage)
        for seed in ([None] if untrained else params.seeds.at(task.stage))
    ]
    contents = [artefact.json() for artefact in artefacts]
    first, content = artefacts[0], contents[0]
    return {
        "type": str(first.get(content, "type")),
        "weights": {
            part: int(first.number(content, "weights", part)) for part in ("trained", "head", "backbone")
        },
        "best_steps": [
            0 if untrained else int(artefact.number(each, "best_step"))
            for artefact, each in zip(artefacts, contents, strict=True)
        ],
    }


def families(described: Described, params: Params) -> Families:
    """The comparisons that marks and claims ask for, from the types and weights of the variants."""
    return {
        task: families_of(
            task,
            {
                name: Competitor(kind(each["type"]), each["weights"]["trained"])
                for name, each in described[task].items()
            },
            [row.name for row in params.rows(task) if row.variant is None],
        )
        for task in described
    }


def write_per_query(root: Path, table: pd.DataFrame, test: str | None = None) -> Path:
    """Write the per-query ``table``; gives its path."""
    path = layout.of(test, layout.PER_QUERY)
    with replacing(root / path) as partial:
        table.to_parquet(partial, index=False)
    return path


def unpooled(params: Params) -> dict[str, list[str]]:
    """By task, the rows that leave the error over seeds, pooled over pairs, as it is without them.

    A row without seeds has pairs with a smaller error or none, so that each of them would lower the p-values
    of the trained variants. Only those that every study has count: BM25 or the candidates, and the row that
    training began from.
    """
    found: dict[str, list[str]] = {}
    for task in TASKS:
        _, *others = params.rows(task.name)
        start = start_of(task.name, params.variants.untrained, name_of(params.reranking.candidates))
        once = (None, *params.variants.once(task.name))
        found[task.name] = [row.name for row in others if row.variant in once and row != start]
    return found


def write_statistics(
    root: Path, params: Params, table: pd.DataFrame, asked: Families, test: str | None = None
) -> Iterator[Path]:
    """Write how sure the means and differences of the per-query ``table`` are, and give the files' paths.

    Args:
        root: the study's folder.
        params: the study's settings.
        table: as of :func:`per_query`.
        asked: of :func:`families`, or of :func:`peftir.pipeline.evaluate_test.families` for a test set.
        test: the test set, if the table is of one.
    """
    compared = comparisons(table, asked, unpooled(params))
    for path, found in ((layout.SPREAD, spread(table)), (layout.COMPARISONS, compared)):
        with replacing(root / layout.of(test, path)) as partial:
            found.to_csv(partial, sep="\t", index=False, na_rep="nan", lineterminator="\n")
        yield layout.of(test, path)
