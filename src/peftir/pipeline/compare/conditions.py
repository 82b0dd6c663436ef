"""The params in which studies differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peftir.diff.changes import ABSENT, leaves, with_defaults
from peftir.diff.compare import variants_at
from peftir.study.tasks import TASKS

UNRELATED = ("seeds", "variants", "lexical", "chains", "learning", "threads", "tests", "measures")
"""Blocks whose differences do not set the results of a variant apart."""


@dataclass(frozen=True)
class Condition:
    """One or more params that change together between studies."""

    label: str
    """The key, or the first one and their number; no two conditions have the same.

    ``methods.*.budget`` stands for the budgets of several methods if they are equal.
    """
    params: dict[str, list[Any]]
    """The values of each key, by study."""

    @property
    def values(self) -> list[Any]:
        """The values of the first key, by study."""
        return next(iter(self.params.values()))

    @property
    def lines(self) -> dict[str, list[Any]]:
        """The values of each key, or of ``methods.*.budget`` for all that it stands for."""
        return {self.label: self.values} if "*" in self.label else self.params


def conditions_of(params: list[Any]) -> list[Condition]:
    """The differences of the params of several studies, in the order of the files.

    Params whose values divide the studies in the same way are one condition. Params of variants that do not
    run in all studies do not count. A key that is left out has its default.
    """
    given = [dict(leaves(with_defaults(each))) for each in params]
    found: dict[tuple[int, ...], dict[str, list[Any]]] = {}
    for key in dict.fromkeys(key for each in given for key in each):
        values = [each.get(key, ABSENT) for each in given]
        division = tuple(values.index(value) for value in values)
        if any(division) and _counts(key, params):
            found.setdefault(division, {})[key] = values
    shared = Counter(map(_of_several_methods, found.values()))
    return [Condition(_label(each, shared), each) for each in found.values()]


def _label(params: dict[str, list[Any]], shared: Mapping[str | None, int]) -> str:
    name = _of_several_methods(params)
    if name is not None and shared[name] == 1:
        return name
    first, *others = params
    return f"{first} and {len(others)} more" if others else first


def _of_several_methods(params: dict[str, list[Any]]) -> str | None:
    """``methods.*.budget`` if all ``params`` are budgets, with the same values; so with any other key."""
    first, *others = params.values()
    keys = {key.rpartition(".")[2] for key in params}
    is_one = others and len(keys) == 1 and all(key.startswith("methods.") for key in params)
    return f"methods.*.{keys.pop()}" if is_one and all(values == first for values in others) else None


def _counts(key: str, params: Sequence[Any]) -> bool:
    block, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    if block in ("mining", "teachers"):
        return any(f"{block}/{name}" in _negatives_in(each) for each in params)
    if block != "methods":
        return block not in UNRELATED
    return all(any(name in variants_at(each, task) for task in TASKS) for each in params)


def _negatives_in(params: Any) -> set[str]:
    """The rankings, such as ``mining/first``, that negatives come from, directly or through others."""
    found: set[str] = set()
    waiting = [params.get(task.stage, {}).get("negatives_from") for task in TASKS]
    while waiting:
        if (name := waiting.pop()) and name not in found:
            found.add(name)
            block, _, entry = name.partition("/")
            waiting.append(params.get(block, {}).get(entry, {}).get("negatives_from"))
    return found
