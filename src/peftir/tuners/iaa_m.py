"""IAA-M (Ma et al. 2022, "Scattered or Connected?", section 5): adapters, and one aside outside all layers.

``h = Encoder(x0) + aside(x0)``, with the output x0 of the embeddings and the stack of layers with their
adapters as encoder. If a Norm follows the last layer, the aside is added before it. Number of parameters
without biases: 4·L·r·d + 2·a·d.
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
    """The aside parallel to the stack, in a slot of its own, since the last layer may have another aside."""

    slot = "stack_aside"


class IaaMTuner(AsideTuner):
    """Tuner that inserts one aside parallel to all layers."""

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
