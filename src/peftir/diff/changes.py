"""What differs between two ``params.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """A key of ``params.yaml`` and its values on both sides, as they stand there."""

    key: str
    before: Any
    after: Any


def changed_params(before: Any, after: Any) -> list[Change]:
    """The keys whose values differ, in the order in which they come."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        Change(key, old.get(key, ABSENT), new.get(key, ABSENT))
        for key in dict.fromkeys([*old, *new])
        if key not in old or key not in new or old[key] != new[key]
    ]


def _leaves(block: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is not a block, by its key with dots; a list is one value."""
    if isinstance(block, dict) and block:
        for name, value in block.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, block
