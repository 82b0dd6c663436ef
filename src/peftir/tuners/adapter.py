"""Sequential adapters (Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", section 2.1).

A bottleneck with an inner residual, ``y + up(gelu(down(y)))``, follows the attention and the feed-forward of
each layer, before Add & Norm. Number of parameters without biases: 4·L·r·d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from peftir.tuners.bottleneck import Bottleneck
from peftir.tuners.config import InsertConfig
from peftir.tuners.inserts import Insertion
from peftir.tuners.knobs import RANK
from peftir.tuners.methods import Method
from peftir.tuners.places import Backbone
from peftir.tuners.tuner import InsertTuner, parameter_counter, register


@dataclass
class AdapterConfig(InsertConfig):
    """Configuration of adapters.

    Args:
        rank: bottleneck size r.
    """

    tuner_type: ClassVar[str] = "PEFTIR_ADAPTER"
    knobs: ClassVar = {"rank": RANK}

    rank: int = 16


class Adapter(Bottleneck):
    """The bottleneck on a sub-layer's output, ``(batch, length, d)``; :class:`Insert` adds the residual."""

    slot = "adapter"

    def change(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The bottleneck of ``y``."""
        return self.bottleneck(name, y, y.dtype)


class AdapterTuner(InsertTuner):
    """Tuner that inserts two adapters in each layer."""

    @staticmethod
    def plan(config: Any, backbone: Backbone) -> Iterator[Insertion]:
        """Yield an adapter for each sub-layer's output."""
        for place in backbone.sublayer_outputs:
            yield Insertion(place, Adapter, {"hidden": backbone.hidden, "rank": config.rank})


register(AdapterConfig, AdapterTuner)


def configure(backbone: Backbone, rank: int) -> AdapterConfig:
    """Return the configuration for ``backbone``."""
    return AdapterConfig(rank=rank)


METHOD = Method(
    name="adapter",
    summary="a bottleneck in sequence after attention and after feed-forward",
    reference="Houlsby et al. 2019, section 2.1",
    knobs={"rank": RANK},
    size="rank",
    configure=configure,
    count_parameters=parameter_counter(AdapterTuner, configure),
)
