"""Score all candidates of a run, in one process or in several workers.

The batches, and so the scores, do not depend on the number of workers.
"""

from __future__ import annotations

from pathlib import Path

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor

from peftir.data.collection import TextLookup
from peftir.models import saving
from peftir.models.crossencoder import CHUNK, pairs_of, score_candidates, score_chunks, with_scores
from peftir.ranking.runs import Run
from peftir.system.processes import spawn_workers


def score_all(
    model: CrossEncoder,
    model_folder: Path,
    root: Path,
    queries: dict[str, str],
    candidates: Run,
    texts: TextLookup,
    *,
    precision: str,
    processes: int,
) -> Run:
    """Score candidates as :func:`peftir.models.crossencoder.score_candidates` does, in several workers.

    At most one chunk of candidates is scored by this process itself.

    Args:
        model: the re-ranker.
        model_folder: from which ``model`` was loaded.
        root: the study's folder, for :func:`peftir.models.saving.load` in the workers.
        texts: of the documents; pickled for the workers.
        processes: number of workers; on a machine with several GPUs each uses the next one.

    Raises:
        PeftirError: a worker was killed.
    """
    pairs = pairs_of(candidates)
    if processes == 1 or len(pairs) <= CHUNK:
        return score_candidates(model, queries, candidates, texts, precision)
    scores = torch.zeros(len(pairs)).share_memory_()
    work = (processes, model_folder, root, queries, pairs, texts, precision, scores)
    spawn_workers(_work, work, processes, "reranking.processes")
    return with_scores(candidates, scores.numpy())


def _work(
    worker: int,
    processes: int,
    model_folder: Path,
    root: Path,
    queries: dict[str, str],
    pairs: list[tuple[str, str]],
    texts: TextLookup,
    precision: str,
    scores: Tensor,
) -> None:
    """Worker process: score its chunks into the shared memory."""
    model = saving.load(CrossEncoder, model_folder, root)
    score_chunks(model, queries, pairs, texts, precision, scores.numpy(), worker, processes)
