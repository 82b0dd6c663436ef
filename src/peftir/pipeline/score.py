"""Score all candidates of a run, in one process or in several.

The batches, and so the scores, do not depend on the number of processes.
"""

from __future__ import annotations

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from peftir.data.collection import TextLookup
from peftir.models.crossencoder import pairs_of, score_chunks, with_scores
from peftir.ranking.runs import Run
from peftir.training.distributed import all_gather, rank, world_size


def score_all(
    model: CrossEncoder, queries: dict[str, str], candidates: Run, texts: TextLookup, precision: str
) -> Run:
    """Score candidates as :func:`peftir.models.crossencoder.score_candidates`, in all processes of a group.

    Each scores a share of them and returns all scores.
    """
    pairs = pairs_of(candidates)
    scores = np.zeros(len(pairs), dtype=np.float32)
    score_chunks(model, queries, pairs, texts, precision, scores, rank(), world_size())
    shares = all_gather(torch.from_numpy(scores))  # each process has zeros for the chunks of the others
    return with_scores(candidates, shares.sum(0).numpy())
