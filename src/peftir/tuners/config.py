"""What the configurations of our methods share, as PEFT reads and writes them."""

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
    """What the configurations of our methods share.

    Args:
        modules_to_save: modules of the model that are trained and saved besides the method's own weights.
            Left out, it becomes the classification head where there is one: no head is lost on save.
    """

    tuner_type: ClassVar[str]
    # Read by PEFT in places; ours follow from the family of the encoder.
    target_modules: ClassVar[None] = None
    knobs: ClassVar[dict[str, Knob]] = {}
    """How to check the fields of the subclass."""

    modules_to_save: list[str] | None = field(default=None)

    def __post_init__(self) -> None:
        """Say which PEFT method it is, and check the fields."""
        super().__post_init__()
        self.peft_type = TunerType(self.tuner_type)
        for key, knob in self.knobs.items():
            if getattr(self, key) is not None:
                knob.check(key, getattr(self, key))
