"""MAM, the mix-and-match adapter (He et al. 2022, "Towards a Unified View of Parameter-Efficient Transfer
Learning", section 4.6): a prefix in attention, and a scaled adapter parallel to the feed-forward.

The parallel adapter has the feed-forward's input, and its output is added to the feed-forward's before Add &
Norm: ``FFN(x) + s · up(relu(down(x)))``. Number of parameters without biases: 2·L·(l + r)·d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from peftir.tuners.bottleneck import Bottleneck
from peftir.tuners.config import InsertConfig
from peftir.tuners.inserts import Insertion
from peftir.tuners.knobs import LENGTH, RANK, Number
from peftir.tuners.methods import Method
from peftir.tuners.places import Backbone
from peftir.tuners.prefix import PrefixTuner
from peftir.tuners.tuner import InsertTuner, parameter_counter, register

SCALE = 4.0
"""The default factor s of the parallel adapter, the best in section 4.5."""

KNOBS = {
    "rank": RANK,
    "length": Number(LENGTH.help, ("budget", "length_ratio"), int, 1),
    "length_ratio": Number("prefix length over rank, where the length is not given"),
    "scale": Number("factor s of the parallel adapter"),
}


@dataclass
class MamConfig(InsertConfig):
    """Configuration of MAM.

    Args:
        rank: bottleneck size r of the parallel adapter.
        length: number l of keys and values before each attention layer's own.
        scale: factor s of the parallel adapter.
    """

    tuner_type: ClassVar[str] = "PEFTIR_MAM"
    knobs: ClassVar = {"rank": RANK, "length": LENGTH, "scale": KNOBS["scale"]}

    rank: int = 16
    length: int = 16
    scale: float = SCALE


class ParallelAdapter(Bottleneck):
    """The scaled bottleneck parallel to the feed-forward, ``(batch, length, d)``.

    ReLU, a Kaiming-initialized ``down`` and a zero-initialized ``up``, as in He et al.'s published code.
    """

    slot = "parallel_adapter"

    def __init__(self) -> None:
        super().__init__()
        self.scale: dict[str, float] = {}

    def create(self, name: str, *, hidden: int, rank: int, scale: float) -> None:  # type: ignore[override]
        """Create the two projections of the PEFT adapter ``name``."""
        super().create(name, hidden=hidden, rank=rank)
        self.scale[name] = scale

    @staticmethod
    def count_parameters(*, hidden: int, rank: int, scale: float) -> int:  # type: ignore[override]
        """The number of parameters, including biases."""
        return Bottleneck.count_parameters(hidden=hidden, rank=rank)

    @staticmethod
    def nonlinearity(x: torch.Tensor) -> torch.Tensor:
        """ReLU."""
        return F.relu(x)

    def change(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """``s · bottleneck(x)``."""
        return self.scale[name] * self.bottleneck(name, x, y.dtype)


class MamTuner(InsertTuner):
    """Tuner that inserts a prefix and a parallel adapter in each layer."""

    @staticmethod
    def plan(config: Any, backbone: Backbone) -> Iterator[Insertion]:
        """Yield the prefixes, and an adapter parallel to each feed-forward."""
        yield from PrefixTuner.plan(config, backbone)
        sizes = {"hidden": backbone.hidden, "rank": config.rank, "scale": config.scale}
        for entry, place in backbone.feed_forwards:
            yield Insertion(place, ParallelAdapter, sizes, entry)


register(MamConfig, MamTuner)


def settle(
    rank: int, length: int | None = None, length_ratio: float = 1.0, scale: float = SCALE
) -> dict[str, Any]:
    """The configuration's fields; by default the length is the ratio times the rank, rounded, at least 1."""
    return {
        "rank": rank,
        "length": max(1, round(length_ratio * rank)) if length is None else length,
        "scale": float(scale),
    }


def configure(backbone: Backbone, **knobs: Any) -> MamConfig:
    """Return the configuration for ``backbone``."""
    return MamConfig(**settle(**knobs))


METHOD = Method(
    name="mam",
    summary="a prefix in attention, a scaled adapter parallel to the feed-forward",
    reference="He et al. 2022, section 4.6",
    knobs=KNOBS,
    size="rank",
    configure=configure,
    count_parameters=parameter_counter(MamTuner, configure),
)
