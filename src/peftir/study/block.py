"""The base class of the blocks of ``params.yaml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NonEmpty = Annotated[list[str], Field(min_length=1)]


class Block(BaseModel):
    """A block of ``params.yaml``: no unknown keys, no conversions between types, never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
