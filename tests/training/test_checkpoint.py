"""Where a checkpoint's tensors go."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from peftir.training.checkpoint import optimizer_tensors, restore_optimizer


@pytest.mark.parametrize(("settings", "step"), [({"fused": True}, "meta"), ({}, "cpu")])
def test_adamws_state_goes_where_its_kind_wants_it(settings: dict[str, Any], step: str) -> None:
    """A fused step counts on the weight's device, another on the processor; ``meta`` stands for a GPU."""
    trained = nn.Parameter(torch.ones(3))
    trained.grad = torch.ones(3)
    optimizer = torch.optim.AdamW([trained], **settings)
    optimizer.step()
    saved = optimizer_tensors(optimizer, {"weight": trained})
    assert {tensor.device.type for tensor in saved.values()} == {"cpu"}

    weight = nn.Parameter(torch.ones(3, device="meta"))
    resumed = torch.optim.AdamW([weight], **settings)
    restore_optimizer(resumed, {"weight": weight}, saved)
    devices = {name: value.device.type for name, value in resumed.state[weight].items()}
    assert devices == {"step": step, "exp_avg": "meta", "exp_avg_sq": "meta"}


def test_the_state_of_two_groups_goes_back_to_the_weights_that_it_is_of() -> None:
    def stepped(steps: int) -> tuple[torch.optim.Optimizer, dict[str, nn.Parameter]]:
        weights = {name: nn.Parameter(torch.ones(2)) for name in ("b", "a", "c")}
        groups = [{"params": [weights["c"]]}, {"params": [weights["a"], weights["b"]], "lr": 0.5}]
        optimizer = torch.optim.AdamW(groups, lr=0.1, fused=True)
        for _ in range(steps):
            for place, weight in enumerate(weights.values()):
                weight.grad = torch.full((2,), float(place + 1))
            optimizer.step()
        return optimizer, weights

    optimizer, weights = stepped(2)
    resumed, others = stepped(0)
    restore_optimizer(resumed, others, optimizer_tensors(optimizer, weights))
    for name, weight in weights.items():
        for key, value in optimizer.state[weight].items():
            assert torch.equal(resumed.state[others[name]][key], value)
    assert [group["lr"] for group in resumed.param_groups] == [0.1, 0.5]
