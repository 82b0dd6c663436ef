"""The params in which studies differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from peftir.diff.changes import ABSENT, leaves
from peftir.diff.compare import variants_at
from peftir.study.tasks import TASKS

UNRELATED = ("seeds", "variants", "lexical", "chains", "learning", "threads", "tests", "measures")
"""Blocks whose differences do not set the results of a variant apart."""


@dataclass(frozen=True)
class Condition:
    """One or more params that change together between studies."""

    params: dict[str, list[Any]]
    """The values of each key, by study."""

    @property
    def values(self) -> list[Any]:
        """The values of the first key, by study."""
        return next(iter(self.params.values()))

    @property
    def label(self) -> str:
        """The key, ``methods.*.budget`` for that of several methods, or the first key and their number."""
        first, *others = self.params
        if not others:
            return first
        last = {key.rpartition(".")[2] for key in self.params}
        if len(last) == 1 and all(key.startswith("methods.") for key in self.params):
            return f"methods.*.{last.pop()}"
        return f"{first} and {len(others)} more"


def conditions_of(params: list[Any]) -> list[Condition]:
    """The differences of the params of several studies, in the order of the files.

    Params whose values divide the studies in the same way are one condition. Params of variants that do not
    run in all studies do not count.
    """
    given = [dict(leaves(each)) for each in params]
    found: dict[tuple[int, ...], Condition] = {}
    for key in dict.fromkeys(key for each in given for key in each):
        values = [each.get(key, ABSENT) for each in given]
        division = tuple(values.index(value) for value in values)
        if any(division) and _counts(key, params):
            found.setdefault(division, Condition({})).params[key] = values
    return list(found.values())


def _counts(key: str, params: Iterable[Any]) -> bool:
    block, _, rest = key.partition(".")
    if block != "methods":
        return block not in UNRELATED
    variant = rest.partition(".")[0]
    return all(any(variant in variants_at(each, task) for task in TASKS) for each in params)
