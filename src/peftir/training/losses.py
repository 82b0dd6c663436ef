"""The loss functions: contrastive for bi-encoders, listwise for cross-encoders."""

from __future__ import annotations

import torch
from torch import Tensor

from peftir.models.precision import not_rounded


def contrastive_loss(
    queries: Tensor, documents: Tensor, labels: Tensor, mask: Tensor, temperature: float
) -> Tensor:
    """The mean over queries of ``-log(exp(s(q, d⁺)/τ) / Σ_d exp(s(q, d)/τ))``, with ``s`` the inner product.

    The sum is over the documents of the whole batch: in-batch and hard negatives (Karpukhin et al. 2020,
    §3.2), with a temperature τ (Chen et al. 2020, §2.1).

    Args:
        queries: ``[b, d]`` vectors.
        documents: ``[n, d]`` vectors.
        labels: ``[b]``, the row in ``documents`` of each query's ``d⁺``.
        mask: ``[b, n]`` booleans, true for documents left out of a query's sum; never its d⁺.
        temperature: τ.
    """
    scores = queries @ documents.T / temperature
    scores = scores.masked_fill(mask, -torch.inf)
    return torch.nn.functional.cross_entropy(not_rounded(scores), labels)


def listwise_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """The mean over queries of ``-log(exp(s(q, d⁺)) / Σ_d exp(s(q, d)))``, over each query's own documents.

    The localized contrastive estimation of Gao, Dai & Callan (ECIR 2021, §3.2).

    Args:
        scores: ``[b, n]``, for n documents per query.
        labels: ``[b]``, the column of each query's ``d⁺``.
    """
    return torch.nn.functional.cross_entropy(not_rounded(scores), labels)
