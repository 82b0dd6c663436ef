"""The two tasks of a study: their names, models and DVC stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["retrieval", "reranking"]
StageName = Literal["retriever", "reranker"]


@dataclass(frozen=True)
class Task:
    """A task, with its names in params, files and pages."""

    name: TaskName
    """The name in ``measures``, in metrics and in the folders of runs."""
    stage: StageName
    """The name of the model in ``params.yaml`` and in the folders of models."""
    title: str
    model: str
    """The name of the model in prose."""
    dvc_stages: tuple[str, ...]
    """The DVC stages that run for every variant and seed; training is first."""


RETRIEVAL = Task(
    "retrieval", "retriever", "Retrieval", "retriever", dvc_stages=("train_retriever", "index", "retrieve")
)
RERANKING = Task("reranking", "reranker", "Re-ranking", "re-ranker", dvc_stages=("train_reranker", "rerank"))
TASKS = (RETRIEVAL, RERANKING)
BY_NAME = {task.name: task for task in TASKS}
BY_STAGE = {task.stage: task for task in TASKS}
UNTRAINED: dict[StageName, str] = {"retriever": "untrained", "reranker": "untrained_reranker"}
"""The DVC stage that makes the untrained models of a stage."""
TITLES: dict[str, str] = {task.name: task.title for task in TASKS}
