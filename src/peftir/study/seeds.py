"""A seed as ``params.yaml`` has it: ``13`` or, in cross-validation, ``13f2`` for seed 13 and fold 2.

DVC's matrix reads lists of ``params.yaml`` and nothing else, so a fold is named with the seed, and a study
without folds has no axis for them. There is a model for each entry of the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

Seed = int | str
"""An entry of the list: a whole number, or one with a fold."""

FORM = re.compile(r"(0|[1-9]\d*)(?:f([1-9]\d*))?")


class Draw(NamedTuple):
    """What an entry stands for: the number that chance follows from, and the fold that is tested, if any."""

    number: int
    fold: int | None


def draw(entry: Seed) -> Draw:
    """The number and the fold of an entry, which is a valid one."""
    found = FORM.fullmatch(str(entry))
    if found is None:
        raise ValueError(f"{entry!r}: expected a seed such as 13, or with a fold 13f2")
    return Draw(int(found[1]), int(found[2]) if found[2] else None)


def fold_of(entry: Seed | None) -> int | None:
    """The fold of an entry; ``None`` where there is none, as for what has no seed at all."""
    return None if entry is None else draw(entry).fold


def seed(text: str) -> Seed:
    """A seed from a command line, as ``params.yaml`` would have it.

    Raises:
        ValueError: it is none.
    """
    number, fold = draw(text)
    return number if fold is None else text


def numbers(entries: Sequence[Seed]) -> list[int]:
    """Each entry's number once: what the means and tests over seeds count."""
    return list(dict.fromkeys(draw(entry).number for entry in entries))


def of_first_fold(entries: Sequence[Seed]) -> list[Seed]:
    """One entry a number: that of fold 1, where there are folds."""
    return [entry for entry in entries if draw(entry).fold in (None, 1)]


def problem(entries: Sequence[Seed], folds: int | None) -> str | None:
    """What is wrong with a list of seeds where there are so many folds, and what to write instead."""
    if folds is None:
        folded = [entry for entry in entries if draw(entry).fold is not None]
        if folded:
            return (
                f"'{folded[0]}': expected a whole number such as {draw(folded[0]).number}, since "
                "collection.folds is null"
            )
        return f"{entries}: expected each seed once" if len(set(entries)) < len(entries) else None
    wanted = [f"{number}f{fold}" for number in numbers(entries) for fold in range(1, folds + 1)]
    if sorted(wanted) != sorted(map(str, entries)):
        return (
            f"{', '.join(map(str, entries))}: expected every fold of each seed once, since collection.folds "
            f"is {folds}: {', '.join(wanted)}"
        )
    return None
