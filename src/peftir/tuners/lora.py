"""LoRA (Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", section 4): PEFT's own.

A low-rank update of the query and value projections (section 4.2). Weights: 4·L·r·d where both are d × d.
``target_modules`` names other linear layers; DoRA (Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank
Adaptation", section 4) trains a magnitude for each of their outputs besides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from peft import LoraConfig
from torch import nn

from peftir.tuners.errors import TunerError
from peftir.tuners.inserts import PREFIX, Insert, Insertion
from peftir.tuners.knobs import ALL_LINEAR, RANK, Choice, Flag, Modules, Number
from peftir.tuners.methods import Method
from peftir.tuners.places import Backbone

ALPHA = Number("the update is scaled by alpha / rank; 2·rank where it is not given")

INSIDE = {"rank": RANK, "alpha": ALPHA}
"""What LoRA takes as a part of a method of ours."""

KNOBS = {
    **INSIDE,
    "target_modules": Modules("the linear layers that are updated; query and value where it is not given"),
    "dropout": Number("probability that an input of the update is dropped", from_low=True, below=1),
    "use_rslora": Flag("scale by alpha / √rank (rsLoRA, Kalajdzievski 2023)"),
    "use_dora": Flag("train the length of each row of the updated weights too (DoRA, Liu et al. 2024)"),
    "init_lora_weights": Choice(
        "how A and B start; A random and B zero where it is not given",
        options=("gaussian", "orthogonal", "olora", "pissa"),
    ),
}


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
    def count_parameters(*, inner: int, outer: int, rank: int, alpha: float) -> int:
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


def count_parameters(backbone: Backbone, rank: int, *, use_dora: bool = False, **knobs: Any) -> int:
    """How many weights LoRA of this rank has; DoRA has one more for each output of a projection.

    Raises:
        TunerError: a target is not in the encoder, or not a linear layer.
    """
    projections = _targets(backbone, knobs.get("target_modules"))
    each = sum(rank * (p.in_features + p.out_features) for p in projections)
    return each + use_dora * sum(p.out_features for p in projections)


def _targets(backbone: Backbone, names: str | list[str] | None) -> list[Any]:
    """The layers that ``target_modules`` names."""
    if names is None:
        return [backbone.model.get_submodule(place) for place in backbone.low_rank]
    if names == ALL_LINEAR:
        return list(backbone.linear.values())
    parts = dict(backbone.parts)
    found: dict[str, nn.Module] = {}
    for target in names:
        matched = {n: part for n, part in parts.items() if n == target or n.endswith(f".{target}")}
        if not matched or not all(isinstance(part, nn.Linear) for part in matched.values()):
            raise TunerError(
                f"target_modules: got {target!r}, expected all-linear or linear layers of this "
                f"{backbone.model.config.model_type}: {', '.join(backbone.linear_names)}"
            )
        found |= matched
    return list(found.values())


def configure(
    backbone: Backbone,
    rank: int,
    alpha: float | None = None,
    target_modules: str | list[str] | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> LoraConfig:
    """The configuration for the encoder at hand; by default without dropout."""
    settled = settle(rank, alpha)
    targets = backbone.linear_names if target_modules == ALL_LINEAR else target_modules
    return LoraConfig(
        r=settled["rank"],
        lora_alpha=settled["alpha"],
        lora_dropout=dropout,
        target_modules=list(targets or backbone.family.low_rank),
        # A pooler that the model does not use would be trained in vain.
        exclude_modules=backbone.unused if target_modules else None,
        modules_to_save=backbone.head or None,
        **options,
    )


METHOD = Method(
    name="lora",
    summary="a low-rank update of the query and value projections",
    reference="Hu et al. 2022, section 4",
    knobs=KNOBS,
    size="rank",
    configure=configure,
    count_parameters=count_parameters,
)
