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
from peftir.study import layout, names
from peftir.study.rows import BM25_NAME, NO_SEED, Row, name_of, rows_of
from peftir.study.seeds import numbers
from peftir.study.tasks import TASKS, UNTRAINED, Task
from peftir.study.yaml_text import parse_yaml
from peftir.system.errors import PeftirError

REMEDY = "run `dvc repro` there and commit the metrics that it writes"

Verdict = Literal["better", "within noise", "worse"]


@dataclass(frozen=True)
class Line:
    """One row of a task by one measure, before and after."""

    test: str | None
    """The test set; None for the collection's own test queries."""
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
    tests: dict[str, tuple[int, int, int]]
    """As ``queries`` for each test set of both; one without a query in common has no lines."""
    tests_added: list[str]
    """Test sets only in ``after``."""
    tests_removed: list[str]
    """Test sets only in ``before``."""
    changes: list[Change]
    seeds_assumed: list[str]
    """Tasks whose variance between seeds is assumed, since no trained row has several seeds."""


@dataclass(frozen=True)
class Side:
    """One revision of the study: its params and the measures per query."""

    title: str
    params: Any
    scores: dict[str | None, Scores]
    """Of the collection's own test queries (None) and of each test set."""

    @property
    def tests(self) -> list[str]:
        """The names of the test sets."""
        return [test for test in self.scores if test is not None]

    def rows(self, test: str | None = None) -> list[tuple[str, str]]:
        """Task and name of each row."""
        return list(dict.fromkeys((task, row) for task, row, _ in self.scores[test].runs))

    def values(self, task: str, row: str, measure: str, queries: list[str], test: str | None = None) -> Array:
        """The values of a row by seed and query, ``[seeds, queries]``."""
        scores = self.scores[test]
        lines = np.searchsorted(scores.queries, queries)
        column = scores.measures[task].index(measure)
        runs = [run for key, run in scores.runs.items() if key[:2] == (task, row)]
        return np.stack([run[lines, column] for run in runs])

    def trains(self, task: str, row: str) -> bool:
        """Whether ``row`` depends on a training: that of its model or, at re-ranking, of the candidates'."""
        names = [Row.of(row).variant]
        if task == "reranking":
            names.append(_candidates_of(self.params))
        methods = (self._method(name) for name in names if name)
        return any(method is not None and method["type"] != "zero_shot" for method in methods)

    def _method(self, name: str) -> Any:
        """The block of ``methods`` of a variant, or of a run such as ``lora-13``."""
        return self.params["methods"].get(name) or self.params["methods"].get(name.rpartition("-")[0])


@dataclass(frozen=True)
class _Pair:
    """The values of one line before and after."""

    test: str | None
    task: str
    row: str
    measure: str
    before: Array
    after: Array
    trained: bool

    @property
    def family(self) -> tuple[str | None, str, str, bool]:
        """Lines of the same family are pooled to estimate the variance between seeds."""
        return self.test, self.task, self.measure, Row.of(self.row).interpolated


def compare(before: Revision, after: Revision) -> RevisionComparison:
    """Compare two revisions of the study by their ``params.yaml`` and ``metrics/queries.parquet``.

    The measures per query of the test sets are compared, too.

    Raises:
        PeftirError: a file is missing or damaged, the two files of a revision do not match, or the revisions
            have no query in common.
    """
    return compare_sides(read_side(before), read_side(after))


def compare_sides(old: Side, new: Side) -> RevisionComparison:
    """As :func:`compare`, of revisions that have been read.

    Raises:
        PeftirError: the revisions have no query in common.
    """
    common = {
        test: sorted(set(old.scores[test].queries) & set(new.scores[test].queries))
        for test in new.scores
        if test in old.scores
    }
    if not common[None]:
        raise PeftirError(
            f"{old.title} and {new.title}: no test query is in both; expected two states of a study on one "
            "collection"
        )
    pairs = [pair for test, queries in common.items() if queries for pair in _pairs(old, new, test, queries)]
    noise = {pair.family: _noise_of(pair.family, pairs) for pair in pairs}
    found = [difference(pair.before, pair.after, noise[pair.family], trained=pair.trained) for pair in pairs]
    lines = [
        Line(
            pair.test,
            pair.task,
            pair.row,
            pair.measure,
            float(pair.before.mean()),
            float(pair.after.mean()),
            each,
            p,
        )
        for pair, each, p in zip(pairs, found, holm([each.p for each in found]), strict=True)
    ]
    counts = {
        test: (len(queries), len(old.scores[test].queries), len(new.scores[test].queries))
        for test, queries in common.items()
    }
    return RevisionComparison(
        before=old.title,
        after=new.title,
        queries=counts[None],
        lines=lines,
        added=[key for key in new.rows() if key not in old.rows()],
        removed=[key for key in old.rows() if key not in new.rows()],
        tests={test: count for test, count in counts.items() if test is not None},
        tests_added=[test for test in new.tests if test not in old.tests],
        tests_removed=[test for test in old.tests if test not in new.tests],
        changes=changed_params(old.params, new.params),
        seeds_assumed=list(
            dict.fromkeys(pair.task for pair in pairs if pair.trained and noise[pair.family] is None)
        ),
    )


def _pairs(old: Side, new: Side, test: str | None, queries: list[str]) -> Iterator[_Pair]:
    """Yield every row and measure in common, in the order of the new revision."""
    for task, row in new.rows(test):
        if (task, row) in old.rows(test):
            trained = old.trains(task, row) or new.trains(task, row)
            for measure in new.scores[test].measures[task]:
                if measure in old.scores[test].measures[task]:
                    before, after = (side.values(task, row, measure, queries, test) for side in (old, new))
                    yield _Pair(test, task, row, measure, before, after, trained)


def _noise_of(family: tuple[str | None, str, str, bool], pairs: list[_Pair]) -> SeedNoise | None:
    """The variance between the seeds of ``family``; a row without changes counts once."""
    trained = [pair for pair in pairs if pair.family == family and pair.trained]
    changed = [pair.after for pair in trained if not np.array_equal(pair.before, pair.after)]
    return seed_noise([*(pair.before for pair in trained), *changed])


def read_side(revision: Revision) -> Side:
    """Read what :func:`compare` compares of a revision.

    Raises:
        PeftirError: a file is missing or damaged, or two files do not match.
    """
    try:
        text = revision.read(PARAMS, remedy="expected a commit or a folder of a study").decode()
        params = parse_yaml(text, f"{revision.title}: {PARAMS}")
        expected = set(_runs_in(params))
        tests = list(params.get("tests", {}))
        if wrong := names.problem(map(str, tests), names.NO_NAMES):
            raise ValueError(f"tests.{wrong}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PeftirError(f"{revision.title}: {PARAMS}: not the params of a study: {error!r}") from error
    scores = {test: _read_scores(revision, test, expected) for test in (None, *tests)}
    return Side(revision.title, params, scores)


def _read_scores(revision: Revision, test: str | None, expected: set[tuple[str, str, int]]) -> Scores:
    """The measures per query of the runs ``expected`` by the params."""
    path = layout.of(test, layout.QUERIES)
    name = f"{revision.title}: {path}"
    scores = read_scores(io.BytesIO(revision.read(path, REMEDY)), name)
    if different := expected ^ set(scores.runs):
        task, row, seed = min(different)
        has = "lacks" if (task, row, seed) in expected else "has"
        raise PeftirError(
            f"{name}: {has} the run '{row}' of {task} with seed {seed}, and {PARAMS} says otherwise, so "
            f"these are not its metrics; {REMEDY}"
        )
    return scores


def variants_at(params: Any, task: Task) -> list[str]:
    """The variants that rank at ``task`` by the content of a ``params.yaml``, old or new."""
    return [*_once_at(params, task), *params["variants"][task.stage]]


def _once_at(params: Any, task: Task) -> list[str]:
    # A study from before `untrained` has zero_shot among the variants with seeds.
    once: list[str] = params["variants"].get(UNTRAINED[task.stage], [])
    return once


def rows_in(params: Any, task: Task) -> list[Row]:
    """The rows of the results of ``task`` by the content of a ``params.yaml``, old or new."""
    # Older studies have no other lexical ranking.
    lexical = params.get("lexical", {})
    return list(rows_of(task.name, variants_at(params, task), _candidates_of(params), lexical))


def _candidates_of(params: Any) -> str:
    """The name of the ranking that is re-ranked: in older studies always BM25's."""
    return name_of(params["reranking"].get("candidates", BM25_NAME))


def _runs_in(params: Any) -> Iterator[tuple[str, str, int]]:
    """Yield task, row and seed of every run defined by ``params.yaml``."""
    for task in TASKS:
        once = _once_at(params, task)
        for row in rows_in(params, task):
            without_seed = row.variant is None or row.variant in once
            for seed in [NO_SEED] if without_seed else numbers(params["seeds"][task.stage]):
                yield task.name, row.name, seed
