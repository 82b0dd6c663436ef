"""Compare two revisions: rows in common, differences, and their significance."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from peftir.diff.changes import Change, changed_params
from peftir.diff.digest import Scores, read_scores
from peftir.diff.noise import SeedNoise, difference, seed_noise
from peftir.diff.revisions import PARAMS, Revision
from peftir.statistics.significance import ALPHA, Array, Difference, holm
from peftir.study import layout
from peftir.study.rows import BM25_NAME, NO_SEED, Row, name_of, rows_of
from peftir.study.seeds import numbers
from peftir.study.tasks import RETRIEVAL, TASKS
from peftir.study.yaml_text import parse_yaml
from peftir.system.errors import PeftirError

REMEDY = "run `dvc repro` there and commit the metrics that it writes"

Verdict = Literal["better", "within noise", "worse"]


@dataclass(frozen=True)
class Line:
    """One row of a task by one measure, before and after."""

    task: str
    row: str
    measure: str
    before: float
    after: float
    difference: Difference
    corrected: float
    """The p-value, corrected for all lines of the comparison; nan if no query differs."""

    @property
    def verdict(self) -> Verdict:
        """The verdict by the corrected p-value at level ``ALPHA``."""
        if not self.corrected <= ALPHA:
            return "within noise"
        return "better" if self.difference.mean > 0 else "worse"


@dataclass(frozen=True)
class RevisionComparison:
    """The comparison of two revisions of the study."""

    before: str
    after: str
    queries: tuple[int, int, int]
    """Number of queries in common, before and after."""
    lines: list[Line]
    added: list[tuple[str, str]]
    """Task and row of each row only in ``after``."""
    removed: list[tuple[str, str]]
    """Task and row of each row only in ``before``."""
    changes: list[Change]
    seeds_assumed: list[str]
    """Tasks whose variance between seeds is assumed, since no trained row has several seeds."""


@dataclass(frozen=True)
class _Side:
    """One revision of the study: its params and the measures per query."""

    title: str
    params: Any
    scores: Scores

    def rows(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((task, row) for task, row, _ in self.scores.runs))

    def values(self, task: str, row: str, measure: str, queries: list[str]) -> Array:
        """The values of a row by seed and query, ``[seeds, queries]``."""
        lines = np.searchsorted(self.scores.queries, queries)
        column = self.scores.measures[task].index(measure)
        runs = [run for key, run in self.scores.runs.items() if key[:2] == (task, row)]
        return np.stack([run[lines, column] for run in runs])

    def trains(self, row: str) -> bool:
        """Whether ``row`` depends on a seed: what is ranked without a model or an untrained one does not."""
        method = self.params["methods"].get(Row.of(row).variant)
        return method is not None and method["type"] != "zero_shot"


@dataclass(frozen=True)
class _Pair:
    """The values of one line before and after."""

    task: str
    row: str
    measure: str
    before: Array
    after: Array
    trained: bool

    @property
    def family(self) -> tuple[str, str, bool]:
        """Lines of the same family are pooled to estimate the variance between seeds."""
        return self.task, self.measure, Row.of(self.row).interpolated


def compare(before: Revision, after: Revision) -> RevisionComparison:
    """Compare two revisions of the study by their ``params.yaml`` and ``metrics/queries.parquet``.

    Raises:
        PeftirError: a file is missing or damaged, the two files of a revision do not match, or the revisions
            have no query in common.
    """
    old, new = _read(before), _read(after)
    common = sorted(set(old.scores.queries) & set(new.scores.queries))
    if not common:
        raise PeftirError(
            f"{old.title} and {new.title}: no test query is in both; expected two states of a study on one "
            "collection"
        )
    pairs = list(_pairs(old, new, common))
    noise = {pair.family: _noise_of(pair.family, pairs) for pair in pairs}
    found = [difference(pair.before, pair.after, noise[pair.family], trained=pair.trained) for pair in pairs]
    lines = [
        Line(pair.task, pair.row, pair.measure, float(pair.before.mean()), float(pair.after.mean()), each, p)
        for pair, each, p in zip(pairs, found, holm([each.p for each in found]), strict=True)
    ]
    return RevisionComparison(
        before=old.title,
        after=new.title,
        queries=(len(common), len(old.scores.queries), len(new.scores.queries)),
        lines=lines,
        added=[key for key in new.rows() if key not in old.rows()],
        removed=[key for key in old.rows() if key not in new.rows()],
        changes=changed_params(old.params, new.params),
        seeds_assumed=list(
            dict.fromkeys(pair.task for pair in pairs if pair.trained and noise[pair.family] is None)
        ),
    )


def _pairs(old: _Side, new: _Side, queries: list[str]) -> Iterator[_Pair]:
    """Yield every row and measure in common, in the order of the new revision."""
    for task, row in new.rows():
        if (task, row) in old.rows():
            for measure in new.scores.measures[task]:
                if measure in old.scores.measures[task]:
                    before, after = (side.values(task, row, measure, queries) for side in (old, new))
                    yield _Pair(task, row, measure, before, after, old.trains(row) or new.trains(row))


def _noise_of(family: tuple[str, str, bool], pairs: list[_Pair]) -> SeedNoise | None:
    """The variance between the seeds of ``family``; a row without changes counts once."""
    trained = [pair for pair in pairs if pair.family == family and pair.trained]
    changed = [pair.after for pair in trained if not np.array_equal(pair.before, pair.after)]
    return seed_noise([*(pair.before for pair in trained), *changed])


def _read(revision: Revision) -> _Side:
    name = f"{revision.title}: {layout.QUERIES}"
    try:
        text = revision.read(PARAMS, remedy="expected a commit of the study").decode()
        params = parse_yaml(text, f"{revision.title}: {PARAMS}")
        expected = set(_runs_in(params))
    except (KeyError, TypeError, ValueError) as error:
        raise PeftirError(f"{revision.title}: {PARAMS}: not the params of a study: {error!r}") from error
    scores = read_scores(io.BytesIO(revision.read(layout.QUERIES, REMEDY)), name)
    if different := expected ^ set(scores.runs):
        task, row, seed = min(different)
        has = "lacks" if (task, row, seed) in expected else "has"
        raise PeftirError(
            f"{name}: {has} the run '{row}' of {task} with seed {seed}, and {PARAMS} says otherwise, so "
            f"these are not its metrics; {REMEDY}"
        )
    return _Side(revision.title, params, scores)


def _runs_in(params: Any) -> Iterator[tuple[str, str, int]]:
    """Yield task, row and seed of every run defined by ``params.yaml``."""
    for task in TASKS:
        # A study from before `untrained` has zero_shot among the variants with seeds.
        once = params["variants"].get("untrained", []) if task is RETRIEVAL else []
        variants = [*once, *params["variants"][task.stage]]
        # Older studies re-rank BM25's candidates and have no other lexical ranking.
        candidates = name_of(params["reranking"].get("candidates", BM25_NAME))
        for row in rows_of(task.name, variants, candidates, params.get("lexical", {})):
            without_seed = row.variant is None or row.variant in once
            for seed in [NO_SEED] if without_seed else numbers(params["seeds"][task.stage]):
                yield task.name, row.name, seed
