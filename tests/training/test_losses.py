"""The losses as functions of vectors and scores, against sums written out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from peftir.training.losses import (
    contrastive_loss,
    hinge_loss,
    kl_loss,
    listwise_loss,
    margin_mse_loss,
    ranknet_loss,
)

# Two queries with three documents each; the relevant one is the first of one, the second of the other.
SCORES = torch.tensor([[2.0, 1.0, 0.0], [0.5, 3.0, -1.0]], dtype=torch.float64)
TEACHER = torch.tensor([[4.0, 1.0, -2.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1])


def test_the_contrastive_loss_is_a_softmax_over_what_is_not_left_out() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    documents = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    mask = torch.tensor([[False, False, True], [False, False, False]])
    loss = contrastive_loss(queries, documents, torch.tensor([1, 0]), mask, temperature=0.5)
    # Similarities over 0.5: the first query's are 0 and 2, its third is left out; the second's 2, 0 and 1.6.
    first = -math.log(math.exp(2) / (math.exp(0) + math.exp(2)))
    second = -math.log(math.exp(2) / (math.exp(2) + math.exp(0) + math.exp(1.6)))
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-12)


def test_what_is_left_out_gets_no_gradient() -> None:
    documents = torch.randn(3, 4, requires_grad=True)
    mask = torch.tensor([[False, False, True]])
    contrastive_loss(torch.randn(1, 4), documents, torch.tensor([0]), mask, 1.0).backward()
    assert documents.grad is not None
    assert documents.grad[2].abs().sum() == 0 < documents.grad[1].abs().sum()


def test_the_listwise_loss_is_a_softmax_over_each_querys_own_documents() -> None:
    scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], dtype=torch.float64)
    first = -math.log(math.exp(2) / (math.exp(2) + math.e + 1))
    second = -math.log(math.exp(3) / (math.exp(3) + 2))
    assert listwise_loss(scores, torch.tensor([0, 1])).item() == pytest.approx(
        (first + second) / 2, rel=1e-12
    )


def test_ranknet_is_the_log_loss_of_each_pair() -> None:
    margins = (1.0, 2.0, 2.5, 4.0)
    expected = sum(math.log(1 + math.exp(-margin)) for margin in margins) / 4
    assert ranknet_loss(SCORES, LABELS).item() == pytest.approx(expected, rel=1e-12)


def test_with_one_negative_ranknet_is_the_softmax_over_the_pair() -> None:
    pairs = torch.tensor([[2.0, 1.0], [-1.0, 3.0]], dtype=torch.float64)
    zeros = torch.tensor([0, 0])
    assert ranknet_loss(pairs, zeros).item() == pytest.approx(listwise_loss(pairs, zeros).item(), rel=1e-12)


def test_the_hinge_loss_is_what_each_margin_lacks_to_one() -> None:
    scores = torch.tensor([[2.0, 1.5, 0.0], [0.5, 3.0, 3.25]], dtype=torch.float64)
    # Margins of .5, 2, 2.5 and -.25: .5 and 1.25 are lacking.
    assert hinge_loss(scores, LABELS).item() == (0.5 + 1.25) / 4


def test_margin_mse_compares_the_margins_of_student_and_teacher() -> None:
    # The student's are 1, 2, 2.5 and 4, the teacher's 3, 6, 1 and 1.
    assert margin_mse_loss(SCORES, TEACHER, LABELS).item() == (2**2 + 4**2 + 1.5**2 + 3**2) / 4
    shifted = TEACHER + torch.tensor([[7.0], [-3.0]])
    assert margin_mse_loss(SCORES, shifted, LABELS).item() == margin_mse_loss(SCORES, TEACHER, LABELS).item()


def test_kl_is_the_divergence_of_the_students_softmax_from_the_teachers() -> None:
    def softmax(values: list[float]) -> list[float]:
        powers = [math.exp(value) for value in values]
        return [power / sum(powers) for power in powers]

    divergences = [
        sum(t * math.log(t / s) for t, s in zip(softmax(teacher), softmax(student), strict=True))
        for teacher, student in zip(TEACHER.tolist(), SCORES.tolist(), strict=True)
    ]
    assert kl_loss(SCORES, TEACHER).item() == pytest.approx(sum(divergences) / 2, rel=1e-12)
    # Of equal distributions it is 0 up to the rounding of float64.
    assert kl_loss(SCORES, SCORES + 5).item() == pytest.approx(0, abs=1e-15)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "listwise": partial(listwise_loss, labels=LABELS),
    "ranknet": partial(ranknet_loss, labels=LABELS),
    "hinge": partial(hinge_loss, labels=LABELS),
    "margin_mse": partial(margin_mse_loss, teacher=TEACHER, labels=LABELS),
    "kl": partial(kl_loss, teacher=TEACHER),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert LOSSES[name](scores).item() > 0
    assert torch.autograd.gradcheck(LOSSES[name], scores)


@pytest.mark.parametrize("name", LOSSES)
def test_scores_in_bfloat16_are_not_rounded_further(name: str) -> None:
    scores = SCORES.bfloat16()
    expected = LOSSES[name](scores.double()).item()
    # The unit of float32, 1.2e-7, times a dozen operations.
    assert LOSSES[name](scores).item() == pytest.approx(expected, rel=2e-6)
