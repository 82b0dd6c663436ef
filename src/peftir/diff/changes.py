"""Differences between two ``params.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peftir.study.block import Block
from peftir.study.params import Params

ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """A key of ``params.yaml`` and its values before and after."""

    key: str
    before: Any
    after: Any


def changed_params(before: Any, after: Any) -> list[Change]:
    """The keys whose values differ, in the order of the files; a key that is left out has its default."""
    old, new = (dict(leaves(with_defaults(each))) for each in (before, after))
    return [
        Change(key, old.get(key, ABSENT), new.get(key, ABSENT))
        for key in dict.fromkeys([*old, *new])
        if key not in old or key not in new or old[key] != new[key]
    ]


def with_defaults(params: Any) -> Any:
    """The content of ``params.yaml`` with the defaults of those keys that its blocks leave out."""
    if not isinstance(params, dict):
        return params
    filled = dict(params)
    for name, field in Params.model_fields.items():
        kind, block = field.annotation, params.get(name)
        if isinstance(kind, type) and issubclass(kind, Block) and isinstance(block, dict):
            fields = kind.model_fields.items()
            filled[name] = block | {
                key: each.get_default(call_default_factory=True)
                for key, each in fields
                if not each.is_required() and key not in block
            }
    return filled


def leaves(block: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is not a block, with its dotted key; a list is one value."""
    if isinstance(block, dict) and block:
        for name, value in block.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, block
