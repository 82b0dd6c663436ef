"""Training of models: examples, losses, the training loop, checkpoints, data parallelism.

The losses can be used in your own code:

>>> import torch
>>> from peftir.training import contrastive_loss
>>> queries = torch.eye(2)  # [b, d]
>>> documents = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # [n, d]
>>> mask = torch.tensor([[False, False, True], [False, False, True]])  # [b, n]
>>> loss = contrastive_loss(queries, documents, torch.tensor([0, 1]), mask, temperature=1.0)
>>> loss.shape, round(loss.item(), 4)  # log(1 + exp(-1))
(torch.Size([]), 0.3133)

>>> from peftir.training import listwise_loss
>>> scores = torch.tensor([[2.0, 2.0], [0.0, 0.0]])  # [b, n]
>>> round(listwise_loss(scores, torch.tensor([0, 1])).item(), 4)  # log(2)
0.6931

>>> from peftir.training import hinge_loss, kl_loss, margin_mse_loss, ranknet_loss
>>> scores, labels = torch.tensor([[2.0, 1.5]]), torch.tensor([0])
>>> round(ranknet_loss(scores, labels).item(), 4), hinge_loss(scores, labels).item()  # log(1 + exp(-0.5))
(0.4741, 0.5)
>>> teacher = torch.tensor([[3.0, 0.0]])
>>> margin_mse_loss(scores, teacher, labels).item()  # (0.5 - 3)²
6.25
>>> round(kl_loss(scores, teacher).item(), 4)
0.3069
"""

from peftir.system.exports import on_first_use

_LOSSES = ("contrastive_loss", "hinge_loss", "kl_loss", "listwise_loss", "margin_mse_loss", "ranknet_loss")

__all__, __getattr__, __dir__ = on_first_use(__name__, {"losses": _LOSSES})
