"""Layers that are computed again in the backward pass: the same gradients, with less kept for them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from cases import ADMITTED, CONFIGS
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from peftir.training.gradient_checkpointing import recomputing_layers
from training import IDS, MASK, start


def gradients(model: nn.Module, context: AbstractContextManager[None]) -> tuple[dict[str, Tensor], int]:
    """The gradients of two runs of the model in one graph, and how many numbers were kept for them."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    model.zero_grad()
    with context:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            left, right = (model(input_ids=ids * MASK, attention_mask=MASK)[0][:, 0] for ids in IDS)
            loss = (left - right).square().mean() + left.square().mean()
        loss.backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return found, sum(kept.values())


@pytest.mark.parametrize(("family", "case"), [*ADMITTED, *((family, "full") for family in CONFIGS)])
def test_the_gradients_are_the_same_to_the_bit(family: str, case: str) -> None:
    model = start(family, case).eval()  # a study trains in evaluation mode unless it asks for dropout
    plain, kept = gradients(model, nullcontext())
    again, kept_less = gradients(model, recomputing_layers(model))
    assert list(again) == list(plain) and any(bool(gradient.any()) for gradient in plain.values())
    assert all(torch.equal(again[name], plain[name]) for name in plain)
    if case != "iaa_m_alone":  # which has nothing to train inside the layers
        assert kept_less < 0.7 * kept
    assert gradients(model, nullcontext())[1] == kept  # the layers are as they were


@pytest.mark.parametrize(("family", "case"), [each for each in ADMITTED if each[0] != "mpnet"])
def test_that_of_transformers_gives_the_same_gradients(family: str, case: str) -> None:
    model = start(family, case)
    plain, _ = gradients(model, nullcontext())
    model.activation_checkpointing_enable()
    again, _ = gradients(model, nullcontext())
    assert all(torch.equal(again[name], plain[name]) for name in plain)
