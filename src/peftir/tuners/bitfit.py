"""BitFit (Ben Zaken et al. 2022, "BitFit: Simple Parameter-efficient Fine-tuning", section 3): biases only.

Every bias of the encoder is trained, as a zero-initialized change that is added to the output of the bias's
module. This is equivalent to training the bias, and several tasks can share the unchanged backbone. Number of
parameters for BERT-base: 102,912; for a bi-encoder, which does not use the pooler, 102,144.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from peftir.tuners.config import InsertConfig
from peftir.tuners.errors import TunerError
from peftir.tuners.inserts import PREFIX, Insert, Insertion
from peftir.tuners.methods import Method
from peftir.tuners.places import Backbone
from peftir.tuners.tuner import InsertTuner, parameter_counter, register


@dataclass
class BitFitConfig(InsertConfig):
    """Configuration of BitFit, which has no knobs."""

    tuner_type: ClassVar[str] = "PEFTIR_BITFIT"


class BiasChange(Insert):
    """The change of one bias, ``(size,)``."""

    slot = "bias_change"
    adapter_layer_names = (f"{PREFIX}bias",)

    def __init__(self) -> None:
        super().__init__()
        self.tuned_bias = nn.ParameterDict()

    def create(self, name: str, *, size: int) -> None:
        """Create the change of the PEFT adapter ``name``, initialized to zero."""
        self.tuned_bias[name] = nn.Parameter(torch.zeros(size))

    @staticmethod
    def count_parameters(*, size: int) -> int:
        """The size of the bias."""
        return size

    def change(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The change of the bias, equal for all tokens."""
        return self.tuned_bias[name].to(y.dtype).expand_as(y)


class BitFitTuner(InsertTuner):
    """Tuner that inserts a change for each bias."""

    @staticmethod
    def plan(config: Any, backbone: Backbone) -> Iterator[Insertion]:
        """Yield a change for each module of the encoder that has a bias.

        Raises:
            TunerError: no module has a bias, or one with a bias is neither ``Linear`` nor ``LayerNorm``.
        """
        found = False
        for name, module in backbone.parts:
            bias = module._parameters.get("bias")
            if bias is None:
                continue
            if not isinstance(module, nn.Linear | nn.LayerNorm):
                raise TunerError(
                    f"type: got 'bitfit', but {name} is a {type(module).__name__} with a bias, expected "
                    "biases in Linear and LayerNorm modules only; use another method"
                )
            found = True
            yield Insertion(name, BiasChange, {"size": bias.numel()})
        if not found:
            raise TunerError(
                f"type: got 'bitfit', but this {backbone.model.config.model_type} has no biases to train; "
                "use another method"
            )


register(BitFitConfig, BitFitTuner)


def configure(backbone: Backbone) -> BitFitConfig:
    """Return the configuration for ``backbone``."""
    return BitFitConfig()


METHOD = Method(
    name="bitfit",
    summary="the biases only",
    reference="Ben Zaken et al. 2022, section 3",
    configure=configure,
    count_parameters=parameter_counter(BitFitTuner, configure),
)
