"""The fields of PEFT's configurations as knobs of ``type: peft``, and the configurations made from them."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from huggingface_hub.dataclasses import type_validator
from peft import PeftConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from peftir.tuners import peft_types
from peftir.tuners.errors import TunerError
from peftir.tuners.knobs import ALL_LINEAR, Knob
from peftir.tuners.places import Backbone

CONFIG = "config."
"""What the knobs begin with that are fields of a configuration."""

PLAIN = (bool, int, float, str, type(None), list, dict, tuple, set)


@dataclasses.dataclass(frozen=True)
class Field(Knob):
    """A field of a PEFT configuration.

    Attributes:
        hint: its type.
    """

    hint: Any = Any

    def admits(self, value: object) -> bool:
        """Whether ``value`` is of the field's type; a whole number is one of real numbers too."""
        values = [value] if isinstance(value, bool) or not isinstance(value, int) else [value, float(value)]
        return any(is_of(each, self.hint) for each in values)

    @property
    def expected(self) -> str:
        """The type, as Python writes it."""
        text = self.hint.__name__ if isinstance(self.hint, type) else str(self.hint)
        return re.sub(r"typing\.|NoneType", lambda match: "None" if "None" in match[0] else "", text)


@cache
def fields_of(kind: str) -> dict[str, Any]:
    """The fields that a study may set, with their types."""
    kind_of_config = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)]
    hints = get_type_hints(kind_of_config)
    return {
        field.name: hints[field.name]
        for field in dataclasses.fields(kind_of_config)
        if field.init and field.name != "peft_type"
    }


def default_of(kind: str, field: str) -> Any:
    """The default of a field in PEFT."""
    fields = dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)])
    return next(each.default for each in fields if each.name == field)


def make(kind: str, size: peft_types.Size | None, backbone: Backbone | None, **knobs: Any) -> PeftConfig:
    """The configuration; without a backbone, as far as it can be checked."""
    given = {key.removeprefix(CONFIG): value for key, value in knobs.items()}
    if size and size.field in given:
        given |= dict.fromkeys(size.along, given[size.field])
    if kind == "ADALORA" and (size is None or size.field in given):
        _refuse_reallocation(given)
    given = {**peft_types.DEFAULTS.get(kind, {}), **copy.deepcopy(given)}
    if backbone is not None:
        if str(given.get("target_modules")).lower() == ALL_LINEAR:
            given["target_modules"] = backbone.linear_names
        if backbone.head:
            given["modules_to_save"] = [*(given.get("modules_to_save") or []), *backbone.head]
    with in_one_line(kind, given):
        return PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)](**given)


def refuse_field(kind: str, name: str, value: object) -> None:
    """Raise an error for a field that a study cannot set, or cannot set to this value.

    Raises:
        TunerError: with the reason.
    """
    reason = peft_types.FIELDS.get(name)
    if reason is None and not _is_plain(fields_of(kind)[name]):
        reason = "takes an object of PEFT's, not a plain value"
    if reason is None and name == "init_lora_weights" and value in peft_types.DATA_INITS:
        reason = "needs data or a quantized backbone before training"
    if reason is None and kind == "RANDLORA" and name == "save_projection" and value:
        reason = "would save frozen projections that all layers share, which transformers does not support"
    if reason is not None:
        raise TunerError(f"{CONFIG}{name}: got {value!r}, which {reason}; leave it out")


def _refuse_reallocation(given: Mapping[str, Any]) -> None:
    first, last = (given.get(name, default_of("ADALORA", name)) for name in ("init_r", "target_r"))
    if first != last:
        raise TunerError(
            f"config.target_r: got {last!r} with init_r {first!r}, expected the same: ranks are moved "
            "between layers by AdaLoraModel.update_and_allocate, which training here does not call"
        )


@contextmanager
def in_one_line(kind: str, given: Mapping[str, Any]) -> Iterator[None]:
    """Turn what PEFT says of a wrong value into one line that names the field."""
    try:
        yield
    except TunerError:
        raise
    except (ValueError, TypeError, AssertionError, RuntimeError, NotImplementedError, KeyError) as error:
        text = " ".join(str(error).split())
        names = [*given, *fields_of(kind)]  # in words they have a space for the underscore
        field = next(
            (name for name in names if re.search(rf"\b{name.replace('_', '[_ ]')}\b", text, re.I)), None
        )
        key = f"{CONFIG}{field}" if field else "config"
        found = f"got {given[field]!r}, which PEFT's {kind}" if field and field in given else f"PEFT's {kind}"
        raise TunerError(f"{key}: {found} refuses: {text}") from error


def is_of(value: object, hint: Any) -> bool:
    """Whether ``value`` is of the type ``hint``."""
    if isinstance(value, list | tuple | set) and get_origin(hint) is None and hint is not Any:
        return isinstance(value, hint) if isinstance(hint, type) else False
    try:
        type_validator("field", value, hint)
    except (TypeError, ValueError):
        return False
    return True


def _is_plain(hint: Any) -> bool:
    """Whether a type is made of what YAML can say."""
    if get_origin(hint) is Literal or hint is Any:
        return True
    if get_origin(hint) is None:
        return not isinstance(hint, type) or issubclass(hint, PLAIN)
    return all(_is_plain(each) for each in get_args(hint) if each is not Ellipsis)
