"""The bottleneck that adapters and asides are made of."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from peftir.tuners.inserts import PREFIX, Insert


class Bottleneck(Insert):
    """``up(gelu(down(x)))`` from d to ``rank`` and back to d, with biases, ``up`` zero at the start.

    The nonlinearity is GELU: Houlsby et al.'s published code (google-research/adapter-bert) uses it in its
    adapters, as BERT does; their paper says only "nonlinearity". ``down`` starts as every ``nn.Linear``
    of torch does (Kaiming uniform; He et al. 2022 and LoRA do the same) but with zero bias, from torch's
    global seed.
    """

    adapter_layer_names = (f"{PREFIX}down", f"{PREFIX}up")

    def __init__(self) -> None:
        super().__init__()
        self.tuned_down = nn.ModuleDict()
        self.tuned_up = nn.ModuleDict()

    def create(self, name: str, *, hidden: int, rank: int) -> None:
        """Make the two projections of the PEFT adapter ``name``."""
        down, up = nn.Linear(hidden, rank), nn.Linear(rank, hidden)
        for zero in (down.bias, up.weight, up.bias):
            nn.init.zeros_(zero)
        self.tuned_down[name], self.tuned_up[name] = down, up

    @staticmethod
    def weigh(*, hidden: int, rank: int) -> int:
        """How many weights one bottleneck has, biases included."""
        return 2 * hidden * rank + rank + hidden

    @staticmethod
    def nonlinearity(x: torch.Tensor) -> torch.Tensor:
        """What stands between the two projections."""
        return F.gelu(x)

    def squeeze(self, name: str, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The bottleneck of the PEFT adapter ``name``, in ``dtype``; ``(…, d)`` as ``x``."""
        down = cast(nn.Linear, self.tuned_down[name])
        if not torch.is_autocast_enabled(x.device.type):
            # Weights may be kept more exact than the backbone's, as PEFT does with one in half precision.
            x = x.to(down.weight.dtype)
        return self.tuned_up[name](self.nonlinearity(down(x))).to(dtype)
