"""An encoder as it comes, as a PEFT adapter without weights.

It stands for the frozen side of a bi-encoder whose other side is tuned. A saved model then names the
backbone of either side, and has the weights of neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import PreTrainedModel

from peftir.tuners.config import InsertConfig
from peftir.tuners.inserts import PREFIX, Insert, Insertion
from peftir.tuners.places import Backbone
from peftir.tuners.tuner import InsertTuner, register


@dataclass
class UntouchedConfig(InsertConfig):
    """Configuration of the adapter without weights."""

    tuner_type: ClassVar[str] = "PEFTIR_UNTOUCHED"


class Marker(Insert):
    """A module that leaves the output as it is.

    PEFT requires a module per adapter, and transformers a weight per file: this one has no elements.
    """

    slot = "untouched"
    adapter_layer_names = (f"{PREFIX}nothing",)

    def __init__(self) -> None:
        super().__init__()
        self.tuned_nothing = nn.ParameterDict()

    def create(self, name: str, *args: Any, **sizes: Any) -> None:
        """Create the weight without elements of the PEFT adapter ``name``."""
        self.tuned_nothing[name] = nn.Parameter(torch.empty(0))

    @staticmethod
    def count_parameters(*args: Any, **sizes: Any) -> int:
        """There are no weights."""
        return 0

    def attach(self, place: nn.Module, entry: nn.Module) -> None:
        """Insert this module into ``place``, whose output it does not change."""
        place.add_module(self.slot, self)


class UntouchedTuner(InsertTuner):
    """Tuner that marks the last layer."""

    @staticmethod
    def plan(config: Any, backbone: Backbone) -> Iterable[Insertion]:
        """The marker."""
        return [Insertion(backbone.layers[-1], Marker)]


def leave_untouched(model: PreTrainedModel) -> None:
    """Freeze ``model``, in place, and give it an adapter without weights."""
    model.add_adapter(UntouchedConfig())
    model.requires_grad_(False)


def is_untouched(model: PreTrainedModel) -> bool:
    """Whether the adapter on ``model`` is the one without weights."""
    return any(isinstance(config, UntouchedConfig) for config in getattr(model, "peft_config", {}).values())


register(UntouchedConfig, UntouchedTuner)
