"""Seeds in ``params.yaml``: ``13`` or, in a cross-validation, ``13f2`` for seed 13 and fold 2.

DVC's matrix reads only lists of ``params.yaml``. So an entry names both seed and fold, and a study without
folds has no axis for them. One model is trained for each entry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

Seed = int | str
"""An entry of the list: an integer, or a string with an integer and a fold."""

FORM = re.compile(r"(0|[1-9]\d*)(?:f([1-9]\d*))?")


class Draw(NamedTuple):
    """The random seed of an entry, and its test fold, if any."""

    number: int
    fold: int | None


def draw(entry: Seed) -> Draw:
    """Parse an entry.

    Raises:
        ValueError: the entry is not a seed.
    """
    match = FORM.fullmatch(str(entry))
    if match is None:
        raise ValueError(f"{entry!r}: expected a seed such as 13, or with a fold 13f2")
    return Draw(int(match[1]), int(match[2]) if match[2] else None)


def fold_of(entry: Seed | None) -> int | None:
    """The fold of an entry; ``None`` without a fold or without a seed."""
    return None if entry is None else draw(entry).fold


def seed(text: str) -> Seed:
    """Parse a seed from the command line into an entry of ``params.yaml``.

    Raises:
        ValueError: ``text`` is not a seed.
    """
    number, fold = draw(text)
    return number if fold is None else text


def numbers(entries: Sequence[Seed]) -> list[int]:
    """The distinct random seeds of the entries, over which means and tests are computed."""
    return list(dict.fromkeys(draw(entry).number for entry in entries))


def of_first_fold(entries: Sequence[Seed]) -> list[Seed]:
    """One entry per random seed; with folds, that of fold 1."""
    return [entry for entry in entries if draw(entry).fold in (None, 1)]


def problem(entries: Sequence[Seed], folds: int | None) -> str | None:
    """The error in a list of seeds for this number of folds, with the expected list; ``None`` if valid."""
    if folds is None:
        folded = [entry for entry in entries if draw(entry).fold is not None]
        if folded:
            return (
                f"'{folded[0]}': expected a whole number such as {draw(folded[0]).number}, since "
                "collection.folds is null"
            )
        return f"{entries}: expected each seed once" if len(set(entries)) < len(entries) else None
    expected = [f"{number}f{fold}" for number in numbers(entries) for fold in range(1, folds + 1)]
    if sorted(expected) != sorted(map(str, entries)):
        return (
            f"{', '.join(map(str, entries))}: expected every fold of each seed once, since collection.folds "
            f"is {folds}: {', '.join(expected)}"
        )
    return None
