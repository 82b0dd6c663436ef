"""Scores of all of a run's candidates, by one process or by several that share them out.

The same pairs are scored together however the work is split, so the scores do not depend on it.
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
    """As :func:`peftir.models.crossencoder.score_candidates`, with the work shared out over ``processes``.

    Candidates of one chunk are scored by this process alone.

    Args:
        model: the re-ranker.
        model_folder: where it was loaded from.
        root: the study's folder, for :func:`peftir.models.saving.load` in other processes.
        texts: of the documents; other processes get it pickled.
        processes: how many share the work; on a machine with several GPUs each takes the next one.

    Raises:
        PeftirError: a process was killed.
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
    """What a process does that shares the work: its chunks, into the memory that all share."""
    model = saving.load(CrossEncoder, model_folder, root)
    score_chunks(model, queries, pairs, texts, precision, scores.numpy(), worker, processes)
