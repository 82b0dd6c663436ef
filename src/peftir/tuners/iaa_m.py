"""IAA-M (Ma et al. 2022, "Scattered or Connected?", section 5): adapters, and one aside outside all layers.

``h = Encoder(x0) + aside(x0)``, where x0 comes from the embeddings and the encoder is the stack of layers
with their adapters. Where a Norm follows the last layer, the aside is added before it, as it is to a layer.
Weights without biases: 4·L·r·d + 2·a·d.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from peftir.tuners.aside import Aside, AsideConfig, AsideTuner, method
from peftir.tuners.families import Span
from peftir.tuners.places import Backbone
from peftir.tuners.tuner import register


@dataclass
class IaaMConfig(AsideConfig):
    """Configuration of IAA-M."""

    tuner_type: ClassVar[str] = "PEFTIR_IAA_M"


class StackAside(Aside):
    """The aside around the stack; it hangs in the last layer, where an aside of that layer may hang too."""

    slot = "stack_aside"


class IaaMTuner(AsideTuner):
    """One aside around all layers."""

    aside = StackAside

    @staticmethod
    def spans(backbone: Backbone) -> Iterable[Span]:
        """The stack of layers."""
        return [(backbone.layers[0], backbone.layers[-1])]


register(IaaMConfig, IaaMTuner)

METHOD = method(
    "iaa_m",
    summary="adapters, and one aside outside all layers",
    config=IaaMConfig,
    tuner=IaaMTuner,
    ratio=1.6,  # as in the paper's small setting: r = 15, a = 24
)
