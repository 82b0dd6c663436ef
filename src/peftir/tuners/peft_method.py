"""``type: peft``: any method of PEFT that works on an encoder, by its configuration class.

The fields of ``config`` are those of the class of ``peft_type``, and each is a knob ``config.FIELD`` here:
its name and type are checked against the class. What a configuration trains is counted on a model without
weights (on the meta device), into which PEFT itself puts the adapter.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from peft import PeftConfig, PeftType, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from peftir.tuners import peft_types
from peftir.tuners.errors import TunerError
from peftir.tuners.knobs import Knob
from peftir.tuners.methods import Method
from peftir.tuners.peft_fields import (
    CONFIG,
    Field,
    default_of,
    fields_of,
    in_one_line,
    is_of,
    make,
    refuse_field,
)
from peftir.tuners.places import Backbone
from peftir.tuners.weights import count

LARGEST = 2**20
"""Sizes are below this one where no layer limits them."""


@dataclasses.dataclass(frozen=True)
class Mapped(Knob):
    """The block ``config`` as a whole."""

    expected = "a block with peft_type and the fields of that type"

    def admits(self, value: object) -> bool:
        """Whether ``value`` is a mapping."""
        return isinstance(value, Mapping)


@dataclasses.dataclass(frozen=True)
class Named(Knob):
    """The name of a field."""

    expected = "the name of a field of config"

    def admits(self, value: object) -> bool:
        """Whether ``value`` is a name."""
        return isinstance(value, str)


def narrow(knobs: Mapping[str, Any], budget: float | None) -> tuple[Method, dict[str, Any]]:
    """The method that ``config`` and ``size`` choose, and its knobs: the fields, as ``config.FIELD``.

    Raises:
        TunerError: ``peft_type`` is missing, unknown or does not work on an encoder, or ``size`` is no field.
    """
    METHOD.check(None, knobs)
    if "config" not in knobs:
        raise TunerError(f"config: missing, peft needs {METHOD.knobs['config'].expected}")
    config = dict(knobs["config"])
    kind = known_kind(config.pop("peft_type", None))
    size = _size(kind, knobs.get("size"), budget)
    for name, value in config.items():
        if name in fields_of(kind):
            refuse_field(kind, name, value)
    sized = (size.field, *size.along, *size.instead) if size else ()
    fields = {
        f"{CONFIG}{name}": Field(f"a field of {kind}", ("budget",) if name in sized else (), hint)
        for name, hint in fields_of(kind).items()
        if name not in peft_types.FIELDS
    }
    method = dataclasses.replace(
        METHOD,
        name=f"peft {kind}",
        knobs=fields,
        size=f"{CONFIG}{size.field}" if size else None,
        configure=partial(configure, kind, size),
        count_parameters=partial(count_parameters, kind, size),
        sizes=partial(sizes, kind, size) if size else None,
        agree=partial(make, kind, size, None),
        narrow=None,
    )
    return method, {f"{CONFIG}{name}": value for name, value in config.items()}


def configure(kind: str, size: peft_types.Size | None, backbone: Backbone, **knobs: Any) -> PeftConfig:
    """PEFT's configuration for the encoder at hand.

    Raises:
        TunerError: the type or its option ``bias`` cannot be saved with a re-ranker's head.
    """
    if backbone.head and kind in peft_types.HEADLESS:
        raise TunerError(
            f"config.peft_type: got {kind!r}, which has no modules_to_save, so that a re-ranker's head "
            "could not be saved; expected another type, or a retriever"
        )
    if backbone.head and knobs.get(f"{CONFIG}bias") == "all":
        raise TunerError(
            "config.bias: got 'all', but the biases of a re-ranker's head are saved with the head, and "
            f"transformers cannot save them twice; expected 'none' or '{kind.lower()}_only'"
        )
    return make(kind, size, backbone, **knobs)


def count_parameters(kind: str, size: peft_types.Size | None, backbone: Backbone, **knobs: Any) -> int:
    """How many weights a configuration trains; 0 for types that decompose the weights to find out.

    Raises:
        TunerError: PEFT refuses a field's value on this encoder.
    """
    config = configure(kind, size, backbone, **knobs)
    return 0 if kind in peft_types.SLOW else count(_on_trial(kind, config, backbone)).trained


def sizes(kind: str, size: peft_types.Size, backbone: Backbone, **knobs: Any) -> Sequence[int]:
    """The values of the field that sizes a method, in the order of the weights that they train.

    Raises:
        TunerError: a larger value of a field that the user named trains fewer weights, or as many.
    """

    def counted(value: int) -> int:
        return count_parameters(kind, size, backbone, **knobs, **{f"{CONFIG}{size.field}": value})

    if size.kind == "named" and counted(2) <= counted(1):
        raise TunerError(
            f"size: got {size.field!r}, but {size.field} 2 trains {counted(2):,} weights and 1 trains "
            f"{counted(1):,}; expected a field whose larger values train more weights"
        )
    if size.kind in ("named", "any"):
        return range(1, LARGEST)
    sides = _sides(kind, size, backbone, knobs)
    smallest = min(min(pair) for pair in sides)
    if size.kind == "divisor":
        possible = {}
        for value in range(2, smallest + 1):
            if all(side % value == 0 for pair in sides for side in pair):
                try:
                    possible[value] = counted(value)
                except TunerError:  # one that the other fields do not allow
                    continue
        return sorted(possible, key=possible.__getitem__)
    if size.kind == "share":
        return range(1, min(a * b for a, b in sides) + 1)
    step = knobs.get(f"{CONFIG}{size.of}", default_of(kind, size.of)) if isinstance(size.of, str) else size.of
    most = min(a * b // (a + b) for a, b in sides) if kind == "SHIRA" else smallest
    return range(step, most + 1, step)


def refuse_add_adapter(config: PeftConfig) -> None:
    """Raise an error if transformers cannot add, save and load adapters of this type.

    Raises:
        TunerError: it cannot.
    """
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    if kind in peft_types.PEFT_MODEL_ONLY:
        raise TunerError(
            f"config.peft_type: got {kind!r}, which {peft_types.PEFT_MODEL_ONLY[kind]}; take make_config and "
            "peft.get_peft_model, or another type"
        )


def known_kind(peft_type: object) -> str:
    """``peft_type``, if it works on an encoder.

    Raises:
        TunerError: it is missing or unknown, or does not work on one.
    """
    admitted = [each.value for each in PeftType if each.value not in peft_types.REFUSED]
    if not isinstance(peft_type, str) or peft_type not in PeftType.__members__:
        got = "missing" if peft_type is None else f"got {peft_type!r}"
        raise TunerError(f"config.peft_type: {got}, expected one of {', '.join(admitted)}")
    if peft_type in peft_types.REFUSED:
        raise TunerError(
            f"config.peft_type: got {peft_type!r}, which {peft_types.REFUSED[peft_type]}; expected one of "
            f"{', '.join(admitted)}"
        )
    return peft_type


def _size(kind: str, named: str | None, budget: float | None) -> peft_types.Size | None:
    """What the budget is to pick; None without a budget."""
    if budget is None:
        if named is not None:
            raise TunerError(f"size: got {named!r} without a budget, which would pick it; expected both")
        return None
    if named is None or named == getattr(peft_types.SIZES.get(kind), "field", None):
        if kind not in peft_types.SIZES:
            raise TunerError(
                f"budget: got {budget!r}, but no field of {kind} is known to size it; expected its fields in "
                "config, or size with the name of a field"
            )
        return peft_types.SIZES[kind]
    hint = fields_of(kind).get(named)
    if hint is None or not is_of(1, hint):
        raise TunerError(f"size: got {named!r}, expected a field of {kind} that takes a whole number")
    return peft_types.Size(named, "named")


def _on_trial(kind: str, config: PeftConfig, backbone: Backbone) -> Any:
    """An encoder of the same architecture, without its weights, with the adapter on it."""
    device = "cpu" if kind in peft_types.VALUES_NEEDED else "meta"
    # Nothing that is drawn here may change what is drawn for the model itself.
    with torch.random.fork_rng(devices=[]), torch.device(device), in_one_line(kind, config.to_dict()):
        model = type(backbone.model)(copy.deepcopy(backbone.model.config))
        return get_peft_model(model, copy.deepcopy(config)).get_base_model()


def _sides(
    kind: str, size: peft_types.Size, backbone: Backbone, knobs: Mapping[str, Any]
) -> list[tuple[int, int]]:
    """The shapes of the weight matrices that a method changes."""
    first = {"divisor": 2, "multiple": 2}.get(size.kind, 1)
    config = configure(kind, size, backbone, **knobs, **{f"{CONFIG}{size.field}": first})
    layers = [m for m in _on_trial(kind, config, backbone).modules() if isinstance(m, BaseTunerLayer)]
    return [
        tuple(weight.shape) for layer in layers if (weight := _matrix(layer.get_base_layer())) is not None
    ]


def _matrix(layer: nn.Module) -> Any:
    weight = getattr(layer, "weight", None)
    return weight if weight is not None and weight.dim() == 2 else None


METHOD = Method(
    name="peft",
    summary="any method of PEFT, by its configuration",
    reference="the paper of the method that config.peft_type names",
    knobs={
        "config": Mapped("peft_type, and the fields of PEFT's configuration of that type"),
        "size": Named("the field of config that a budget picks, where it is not known"),
    },
    configure=configure,
    count_parameters=count_parameters,
    narrow=narrow,
    vectors=peft_types.VECTORS,
)
