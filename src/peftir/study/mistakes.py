"""One-line messages for errors in ``params.yaml``."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def in_one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """Format the first error as ``key: value: expectation``, with the number of further errors."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        line = f"{key}: unknown key; expected {_expected_keys(model, first['loc'])}"
    elif first["type"] == "missing":
        line = f"{key}: missing"
    elif first["type"] == "value_error":
        reason = str(first["ctx"]["error"])
        line = f"{key}: expected {reason}" if key and not reason.startswith(key) else reason
    else:
        line = f"{key}: {first['input']!r}: {_expectation(first['msg'])}"
    more = error.error_count() - 1
    return line + (f" (and {more} more)" if more else "")


def _expectation(message: str) -> str:
    """Rewrite pydantic's ``Input should be …`` as ``expected …``, the form of our messages."""
    return re.sub(r"^Input should be", "expected", message)


def _expected_keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> str:
    """The valid keys of the block with the unknown key ``loc``."""
    block: Any = model
    for part in loc[:-1]:
        # Descend into a field, or into one of the named blocks of `methods`.
        block = block.model_fields[part].annotation if hasattr(block, "model_fields") else get_args(block)[1]
        block = (
            next((kind for kind in get_args(block) if hasattr(kind, "model_fields")), block)
            if _optional(block)
            else block
        )
    return "one of " + ", ".join(block.model_fields)


def _optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)
