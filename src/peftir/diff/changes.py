"""Differences between two ``params.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """A key of ``params.yaml`` and its values before and after."""

    key: str
    before: Any
    after: Any


def changed_params(before: Any, after: Any) -> list[Change]:
    """The keys whose values differ, in the order of the files."""
    old, new = dict(leaves(before)), dict(leaves(after))
    return [
        Change(key, old.get(key, ABSENT), new.get(key, ABSENT))
        for key in dict.fromkeys([*old, *new])
        if key not in old or key not in new or old[key] != new[key]
    ]


def leaves(block: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is not a block, with its dotted key; a list is one value."""
    if isinstance(block, dict) and block:
        for name, value in block.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, block
