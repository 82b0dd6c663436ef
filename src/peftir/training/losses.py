"""The loss functions of bi-encoders and cross-encoders, from labels or from a teacher's scores.

In a list of documents of a query, d⁺ is the relevant one and the others are its negatives d⁻; ``s`` is the
model's score of a document and ``t`` the teacher's.
"""

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

    The localized contrastive estimation of Gao, Dai & Callan (ECIR 2021).

    Args:
        scores: ``[b, n]``, for n documents per query.
        labels: ``[b]``, the column of each query's ``d⁺``.
    """
    return torch.nn.functional.cross_entropy(not_rounded(scores), labels)


def ranknet_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """The mean over queries and their negatives of ``log(1 + exp(s(q, d⁻) - s(q, d⁺)))``.

    RankNet (Burges et al., ICML 2005), with a target probability of 1 that d⁺ ranks above d⁻. It is the
    softmax over a pair of documents.

    Args:
        scores: ``[b, n]``, for n documents per query.
        labels: ``[b]``, the column of each query's ``d⁺``.
    """
    return torch.nn.functional.softplus(-_margins(not_rounded(scores), labels)).mean()


def hinge_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """The mean over queries and their negatives of ``max(0, 1 - s(q, d⁺) + s(q, d⁻))``.

    The pairwise loss of the ranking SVM (Joachims, KDD 2002), without its regularization.

    Args:
        scores, labels: as of :func:`ranknet_loss`.
    """
    return torch.relu(1 - _margins(not_rounded(scores), labels)).mean()


def margin_mse_loss(scores: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """The mean over queries and negatives of ``((s(q, d⁺) - s(q, d⁻)) - (t(q, d⁺) - t(q, d⁻)))²``.

    Margin-MSE (Hofstätter et al. 2020, "Improving Efficient Neural Ranking Models with Cross-Architecture
    Knowledge Distillation", arXiv 2010.02666).

    Args:
        scores: ``[b, n]``, the student's scores of n documents per query.
        teacher: ``[b, n]``, the teacher's.
        labels: ``[b]``, the column of each query's ``d⁺``.
    """
    scores = not_rounded(scores)
    return torch.nn.functional.mse_loss(_margins(scores, labels), _margins(teacher.to(scores), labels))


def kl_loss(scores: Tensor, teacher: Tensor) -> Tensor:
    """The mean over queries of ``KL(p_t ‖ p_s) = Σ_d p_t(d) · (log p_t(d) - log p_s(d))``.

    ``p_t`` and ``p_s`` are the softmax of the teacher's and of the student's scores over a query's own
    documents, as in the listwise distillation of RocketQAv2 (Ren et al., EMNLP 2021). That trains both models
    and has the divergence the other way round. With a fixed teacher, this order has the gradients of the
    cross-entropy with soft targets (Hinton, Vinyals & Dean 2015, §2).

    Args:
        scores, teacher: as of :func:`margin_mse_loss`.
    """
    scores = not_rounded(scores)
    targets = teacher.to(scores).log_softmax(dim=1)
    return torch.nn.functional.kl_div(
        scores.log_softmax(dim=1), targets, reduction="batchmean", log_target=True
    )


def _margins(scores: Tensor, labels: Tensor) -> Tensor:
    """``s(q, d⁺) - s(q, d⁻)`` for each ``d⁻``, ``[b, n - 1]``."""
    relevant = torch.nn.functional.one_hot(labels, scores.shape[1]).bool()
    return scores[relevant].unsqueeze(1) - scores[~relevant].view(len(scores), -1)
