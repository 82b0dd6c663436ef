"""The losses as functions of vectors and scores, against sums written out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from peftir.training.losses import contrastive_loss, listwise_loss


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
