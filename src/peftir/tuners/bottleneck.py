"""The bottleneck module of adapters and asides."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from peftir.tuners.inserts import PREFIX, Insert


class Bottleneck(Insert):
    """``up(gelu(down(x)))`` from d to ``rank`` and back to d, with biases and a zero-initialized ``up``.

    The nonlinearity is GELU, as in BERT and Houlsby et al.'s published code (google-research/adapter-bert);
    their paper says only "nonlinearity". ``down`` has torch's initialization of ``nn.Linear`` (Kaiming
    uniform, as in He et al. 2022 and LoRA), from the global seed, but zero bias.
    """

    adapter_layer_names = (f"{PREFIX}down", f"{PREFIX}up")

    def __init__(self) -> None:
        super().__init__()
        self.tuned_down = nn.ModuleDict()
        self.tuned_up = nn.ModuleDict()

    def create(self, name: str, *, hidden: int, rank: int) -> None:
        """Create the two projections of the PEFT adapter ``name``."""
        down, up = nn.Linear(hidden, rank), nn.Linear(rank, hidden)
        for zero in (down.bias, up.weight, up.bias):
            nn.init.zeros_(zero)
        self.tuned_down[name], self.tuned_up[name] = down, up

    @staticmethod
    def count_parameters(*, hidden: int, rank: int) -> int:
        """The number of parameters of one bottleneck, including biases."""
        return 2 * hidden * rank + rank + hidden

    @staticmethod
    def nonlinearity(x: torch.Tensor) -> torch.Tensor:
        """The nonlinearity between the two projections."""
        return F.gelu(x)

    def bottleneck(self, name: str, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Apply the bottleneck of the PEFT adapter ``name`` to ``x``; returns ``(…, d)`` in ``dtype``."""
        down = cast(nn.Linear, self.tuned_down[name])
        if not torch.is_autocast_enabled(x.device.type):
            # PEFT keeps adapter weights in float32 if the backbone is in half precision.
            x = x.to(down.weight.dtype)
        return self.tuned_up[name](self.nonlinearity(down(x))).to(dtype)
