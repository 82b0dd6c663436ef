"""Which weights are vectors: decided by what they do, not by their shape."""

from __future__ import annotations

import pytest
from cases import ALL, CONFIGS
from tiny import tiny_model
from torch import nn

from peftir.tuners import attach, vector_names


def tuned(type: str, head: bool = False, **knobs: object) -> nn.Module:
    model = tiny_model(CONFIGS["bert"], head)
    attach(model, type, **knobs)
    return model


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def test_factors_are_vectors_whatever_their_shape() -> None:
    weights = trained(model := tuned("ia3"))
    assert {tuple(weight.shape) for weight in weights.values()} == {(32, 1), (1, 48)}
    assert set(weights) <= vector_names(model)


def test_matrices_of_rank_1_have_the_shapes_of_factors_and_are_none() -> None:
    weights = trained(model := tuned("lora", rank=1))
    assert {tuple(weight.shape) for weight in weights.values()} == {(1, 32), (32, 1)}
    assert not set(weights) & vector_names(model)


def test_the_weights_of_a_head_with_one_output_are_a_matrix_and_its_bias_is_a_vector() -> None:
    model = tuned("ia3", head=True)
    head = {name for name in trained(model) if "classifier" in name}
    assert len(head) == 2
    assert {name.rpartition(".")[2] for name in head & vector_names(model)} == {"bias"}


@pytest.mark.parametrize("case", ALL)
def test_every_method_has_decided_for_weights_that_have_one_number_a_row_or_a_single_row(case: str) -> None:
    """Sizes in ``ALL`` are above 1: what is still one number wide or high is a vector, or a projection's."""
    type, knobs = ALL[case]
    model = tuned(type, **knobs)
    thin = {name for name, weight in trained(model).items() if weight.dim() > 1 and 1 in weight.shape}
    assert thin <= vector_names(model)
    plain = {name for name, weight in trained(model).items() if weight.dim() <= 1}
    assert plain <= vector_names(model)
