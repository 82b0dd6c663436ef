"""The base class of our methods' PEFT configurations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from peft import PeftConfig

from peftir.tuners.knobs import Knob


class TunerType(str):
    """A PEFT type outside PEFT's closed enum: equal to its name, with the ``.value`` that PEFT reads."""

    @property
    def value(self) -> str:
        """The name, as in ``adapter_config.json``."""
        return str(self)


@dataclass
class InsertConfig(PeftConfig):
    """Base class of the configurations of our methods.

    Args:
        modules_to_save: modules of the model that are trained and saved besides the method's own weights. By
            default the classification head, if there is one.
    """

    tuner_type: ClassVar[str]
    # PEFT reads this field; our insertions depend on the encoder's family instead.
    target_modules: ClassVar[None] = None
    knobs: ClassVar[dict[str, Knob]] = {}
    """The knobs that check the fields of the subclass."""

    modules_to_save: list[str] | None = field(default=None)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What the names of trained weights begin with that PEFT's own modules have."""
        return ()

    def __post_init__(self) -> None:
        """Set the PEFT type and check the fields."""
        super().__post_init__()
        self.peft_type = TunerType(self.tuner_type)
        for key, knob in self.knobs.items():
            if getattr(self, key) is not None:
                knob.check(key, getattr(self, key))
