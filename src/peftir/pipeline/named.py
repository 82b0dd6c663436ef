"""The block of ``params.yaml`` that a stage's command line names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from peftir.system.errors import PeftirError

T = TypeVar("T")


def block_of(key: str, blocks: Mapping[str, T], name: str) -> T:
    """The block ``name`` under ``key``.

    Raises:
        PeftirError: there is none.
    """
    if name not in blocks:
        known = ", ".join(blocks) or "none"
        raise PeftirError(f"{key}.{name}: not in params.yaml; expected one of its {key}: {known}")
    return blocks[name]
