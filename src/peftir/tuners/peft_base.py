"""Any method of PEFT as the base of IAA's asides.

One PEFT adapter holds both: its configuration is that of the asides, with the base's as a block ``config``.
PEFT's own tuner of the base wraps the modules that it changes, then the asides are inserted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from peft import PeftConfig, PeftType, inject_adapter_in_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING
from torch import nn

from peftir.tuners import peft_method, peft_types
from peftir.tuners.errors import TunerError
from peftir.tuners.knobs import Number
from peftir.tuners.methods import Method
from peftir.tuners.peft_fields import CONFIG, default_of, fields_of, in_one_line
from peftir.tuners.places import Backbone

PEFT = "peft"
"""The name of this base."""


def configuration(fields: Mapping[str, Any], modules_to_save: list[str] | None) -> PeftConfig:
    """PEFT's configuration of a base method.

    Args:
        fields: ``peft_type`` and the fields of that type.
        modules_to_save: those of the asides, which the base method does not change.

    Raises:
        TunerError: the type is unknown or has no asides, or PEFT refuses a value.
    """
    given = dict(fields)
    kind = peft_method.known_kind(given.pop("peft_type", None))
    _refuse(kind, given)
    if "modules_to_save" in fields_of(kind):
        given["modules_to_save"] = modules_to_save
    with in_one_line(kind, given):
        return PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)](**given)


def prefix(config: PeftConfig) -> str:
    """The prefix of the names of the weights that a base method trains."""
    return PEFT_TYPE_TO_PREFIX_MAPPING[PeftType(config.peft_type)]


def inject(config: PeftConfig, model: nn.Module, adapter_name: str, low_cpu_mem_usage: bool) -> None:
    """Put the modules of a base method into ``model``, as a part of the PEFT adapter ``adapter_name``."""
    # PEFT would enter the base method among the model's adapters.
    others = model.__dict__.pop("peft_config", None)
    try:
        inject_adapter_in_model(config, model, adapter_name, low_cpu_mem_usage)
    finally:
        model.__dict__.pop("peft_config", None)
        if others is not None:
            model.__dict__["peft_config"] = others


def around_peft(
    alone: Method, configuration_of: Callable[..., PeftConfig], ratio_knob: Number, ratio: float
) -> Method:
    """The registry entry of asides around a method of PEFT.

    Args:
        alone: the entry of these asides alone.
        configuration_of: the class of their configuration.
        ratio_knob: the knob of ``aside_ratio``.
        ratio: its default.
    """
    asides = {
        "aside_rank": dataclasses.replace(alone.knobs["aside_rank"], excludes=("aside_ratio",)),
        "aside_ratio": ratio_knob,
    }
    whole = dataclasses.replace(alone, knobs={**peft_method.METHOD.knobs, **asides}, size=None)

    def narrow(knobs: Mapping[str, Any], budget: float | None) -> tuple[Method, dict[str, Any]]:
        whole.check(None, knobs)
        inside = {key: value for key, value in knobs.items() if key not in asides}
        own = {key: value for key, value in knobs.items() if key in asides}
        kind = str(dict(inside.get("config", {})).get("peft_type"))
        # Where no field sizes the base method, a budget sizes the asides.
        sized = "size" in inside or kind in peft_types.SIZES
        if budget is not None and kind in peft_types.SLOW:
            raise TunerError(
                f"budget: got {budget!r}, but what {kind} trains is known only once it is attached; expected "
                "aside_rank"
            )
        base, fields = peft_method.narrow(inside, budget if sized else None)
        size = None if budget is None else base.size if sized else "aside_rank"
        around = _Around(kind, base, alone, configuration_of, ratio, size)
        aside_rank = asides["aside_rank"]
        method = dataclasses.replace(
            whole,
            name=f"{alone.name} around {base.name}",
            knobs={
                **base.knobs,
                "aside_rank": aside_rank if sized else alone.knobs["aside_rank"],
                "aside_ratio": ratio_knob,
            },
            size=size,
            configure=around.configure,
            count_parameters=around.count_parameters,
            sizes=around.sizes if size == base.size else None,
            agree=around.agree,
        )
        return method, {**fields, **own}

    return dataclasses.replace(whole, narrow=narrow)


@dataclasses.dataclass(frozen=True)
class _Around:
    """Asides around one type of PEFT.

    Attributes:
        kind: the type.
        base: its method.
        alone: the method of the asides alone.
        configuration_of: the class of the asides' configuration.
        ratio: aside rank over rank, where neither is given.
        size: the knob that a budget picks; None without a budget.
    """

    kind: str
    base: Method
    alone: Method
    configuration_of: Callable[..., PeftConfig]
    ratio: float
    size: str | None

    def configure(self, backbone: Backbone, **knobs: Any) -> PeftConfig:
        """The configuration for the encoder at hand."""
        assert self.base.configure is not None
        config = self.base.configure(backbone, **_inside(knobs))
        fields = {name: _plain(getattr(config, name)) for name in fields_of(self.kind)}
        kept = fields.pop("modules_to_save", None)
        block = {name: value for name, value in fields.items() if name not in peft_types.FIELDS}
        return self.configuration_of(
            base=PEFT,
            config={"peft_type": self.kind, **block},
            aside_rank=self.aside_rank(knobs),
            modules_to_save=kept,
        )

    def count_parameters(self, backbone: Backbone, **knobs: Any) -> int:
        """The number of trained parameters of the base method and of the asides."""
        assert self.base.count_parameters is not None and self.alone.count_parameters is not None
        asides = self.alone.count_parameters(backbone, aside_rank=self.aside_rank(knobs))
        return self.base.count_parameters(backbone, **_inside(knobs)) + asides

    def sizes(self, backbone: Backbone, **knobs: Any) -> Sequence[int]:
        """The possible values of the field that sizes the base method."""
        assert self.base.sizes is not None
        return self.base.sizes(backbone, **_inside(knobs))

    def agree(self, **knobs: Any) -> None:
        """Check the combination of knobs."""
        assert self.base.agree is not None
        _refuse(self.kind, {key.removeprefix(CONFIG): value for key, value in _inside(knobs).items()})
        self.base.agree(**_inside(knobs))
        if self.size != "aside_rank":
            self.aside_rank(knobs)

    def aside_rank(self, knobs: Mapping[str, Any]) -> int:
        """The rank of the asides: as given, or the ratio times the rank of the base method.

        Raises:
            TunerError: it is not given, and the base method has no rank.
        """
        if "aside_rank" in knobs:
            return int(knobs["aside_rank"])
        size = peft_types.SIZES.get(self.kind)
        if size is None or size.kind not in ("rank", "multiple"):
            raise TunerError(f"aside_rank: missing; {self.base.name} has no rank that it could follow from")
        rank = knobs.get(f"{CONFIG}{size.field}", default_of(self.kind, size.field))
        return max(1, round(knobs.get("aside_ratio", self.ratio) * rank))


def _inside(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs of the base method."""
    return {key: value for key, value in knobs.items() if key.startswith(CONFIG)}


def _plain(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, set):
        return sorted(value)
    return value.value if isinstance(value, Enum) else value


def _refuse(kind: str, given: Mapping[str, Any]) -> None:
    """Raise an error for what cannot be saved together with asides."""
    if kind in peft_types.NO_ASIDES:
        raise TunerError(
            f"config.peft_type: got {kind!r} as the base of asides, but it {peft_types.NO_ASIDES[kind]}; "
            "expected another type"
        )
    if given.get("bias", "none") != "none":
        raise TunerError(
            f"config.bias: got {given['bias']!r}, but biases of the backbone are not trained inside asides; "
            "leave it out"
        )
