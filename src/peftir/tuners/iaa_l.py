"""IAA-L (Ma et al. 2022, "Scattered or Connected?", section 5): adapters, and an aside outside each layer.

``h = Layer(x) + aside(x)``; the layer has two adapters. Number of parameters without biases:
4·L·r·d + 2·L·a·d.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from peftir.tuners.aside import AsideConfig, AsideTuner, method
from peftir.tuners.families import Span
from peftir.tuners.places import Backbone
from peftir.tuners.tuner import register


@dataclass
class IaaLConfig(AsideConfig):
    """Configuration of IAA-L."""

    tuner_type: ClassVar[str] = "PEFTIR_IAA_L"


class IaaLTuner(AsideTuner):
    """Tuner that inserts an aside parallel to each layer."""

    @staticmethod
    def spans(backbone: Backbone) -> Iterable[Span]:
        """The layers."""
        return ((layer, layer) for layer in backbone.layers)


register(IaaLConfig, IaaLTuner)

METHOD = method(
    "iaa_l",
    summary="adapters joined by an aside outside each layer",
    config=IaaLConfig,
    tuner=IaaLTuner,
    ratio=1.0,  # as in the paper's small setting: r = a = 12
)
