"""LoRA (Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", section 4): PEFT's own.

A low-rank update of the query and value projections (section 4.2). Weights: 4·L·r·d where both are d × d.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from peft import LoraConfig
from torch import nn

from peftir.tuners.inserts import PREFIX, Insert, Insertion
from peftir.tuners.methods import RANK, Knob, Method
from peftir.tuners.places import Backbone

ALPHA = Knob(float, 0, "the update is scaled by alpha / rank; 2·rank where it is not given")


class LowRank(Insert):
    """``alpha / rank · up(down(x))``: LoRA as a part of a method of ours, which one PEFT tuner must hold.

    What PEFT's computes from the same weights; ``down`` and ``up`` are its ``lora_A`` and ``lora_B``.
    """

    slot = "low_rank"
    adapter_layer_names = (f"{PREFIX}down", f"{PREFIX}up")

    def __init__(self) -> None:
        super().__init__()
        self.tuned_down = nn.ModuleDict()
        self.tuned_up = nn.ModuleDict()
        self.scale: dict[str, float] = {}

    def create(self, name: str, *, inner: int, outer: int, rank: int, alpha: float) -> None:
        """Make the two projections of the PEFT adapter ``name``, as section 4.1 and PEFT start them."""
        down, up = nn.Linear(inner, rank, bias=False), nn.Linear(rank, outer, bias=False)
        nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
        nn.init.zeros_(up.weight)
        self.tuned_down[name], self.tuned_up[name] = down, up
        self.scale[name] = alpha / rank

    @staticmethod
    def weigh(*, inner: int, outer: int, rank: int, alpha: float) -> int:
        """How many weights the update of one projection has."""
        return rank * (inner + outer)

    def change(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The projection's update."""
        down, up = cast(nn.Linear, self.tuned_down[name]), self.tuned_up[name]
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(down.weight.dtype)
        return (self.scale[name] * up(down(x))).to(y.dtype)


def plan(config: Any, backbone: Backbone) -> Iterator[Insertion]:
    """An update of every query and value projection."""
    for place in backbone.low_rank:
        projection: Any = backbone.model.get_submodule(place)
        sizes = {"inner": projection.in_features, "outer": projection.out_features}
        yield Insertion(place, LowRank, {**sizes, "rank": config.rank, "alpha": config.alpha})


def settle(rank: int, alpha: float | None = None) -> dict[str, Any]:
    """Rank and alpha.

    Left out, alpha is 2·rank: the scale of 2 that most recipes use today, the same at every rank, so that a
    learning rate found at one budget serves at another.
    """
    return {"rank": rank, "alpha": 2 * rank if alpha is None else alpha}


def weigh(backbone: Backbone, rank: int, alpha: float | None = None) -> int:
    """How many weights LoRA of this rank has."""
    projections: list[Any] = [backbone.model.get_submodule(place) for place in backbone.low_rank]
    return sum(rank * (p.in_features + p.out_features) for p in projections)


def configure(backbone: Backbone, **knobs: Any) -> LoraConfig:
    """The configuration for the encoder at hand, without dropout."""
    settled = settle(**knobs)
    return LoraConfig(
        r=settled["rank"],
        lora_alpha=settled["alpha"],
        lora_dropout=0.0,
        target_modules=list(backbone.family.low_rank),
        modules_to_save=backbone.head or None,
    )


METHOD = Method(
    name="lora",
    summary="a low-rank update of the query and value projections",
    reference="Hu et al. 2022, section 4",
    knobs={"rank": RANK, "alpha": ALPHA},
    size="rank",
    configure=configure,
    weigh=weigh,
)
