"""IAA-S (Ma et al. 2022, "Scattered or Connected?", section 5): adapters, and an aside around each sub-layer.

An aside has the sub-layer's input, and its output is added after the sub-layer's Add & Norm:
``LN(x + Sub(x)) + aside(x)``; the sub-layer has an adapter. Number of parameters without biases:
4·L·r·d + 4·L·a·d.
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
class IaaSConfig(AsideConfig):
    """Configuration of IAA-S."""

    tuner_type: ClassVar[str] = "PEFTIR_IAA_S"


class IaaSTuner(AsideTuner):
    """Tuner that inserts an aside parallel to each sub-layer."""

    @staticmethod
    def spans(backbone: Backbone) -> Iterable[Span]:
        """The sub-layers."""
        return backbone.sublayers


register(IaaSConfig, IaaSTuner)

METHOD = method(
    "iaa_s",
    summary="adapters joined by an aside outside each sub-layer",
    config=IaaSConfig,
    tuner=IaaSTuner,
    ratio=1.0,  # as in both of the paper's settings: r = a = 8, and 100
)
