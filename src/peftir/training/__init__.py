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
"""

from peftir.system.exports import on_first_use

__all__, __getattr__, __dir__ = on_first_use(__name__, {"losses": ("contrastive_loss", "listwise_loss")})
