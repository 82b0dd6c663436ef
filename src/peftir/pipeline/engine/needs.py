"""What a stage needs in order to run: threads, a GPU, memory, and the number of its processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.stage import PipelineStage as Stage

PROCESSES = {
    "train_retriever": "retriever",
    "train_reranker": "reranker",
    "train_miner": "retriever",
    "mine": "index",
    "teacher_scores": "reranking",
    "index": "index",
    "untrained": "index",
    "retrieve_test": "index",
    "untrained_test": "index",
    "rerank": "reranking",
    "rerank_test": "reranking",
    "untrained_reranker": "reranking",
    "untrained_reranker_test": "reranking",
    "chain": "reranking",
    "chain_test": "reranking",
}
"""The block of ``params.yaml`` whose ``processes`` is the number of processes of a stage."""


@dataclass(frozen=True)
class Needs:
    """Resources that a stage's command requires.

    Attributes:
        threads: of all its processes together.
        computing: whether each process uses a GPU if there are any.
        memory_mb: of each process; 0 if unknown.
        processes: number of processes.
        key: the setting with that number.
    """

    threads: int
    computing: bool
    memory_mb: int = 0
    processes: int = 1
    key: str = ""

    @property
    def threads_each(self) -> int:
        """The threads of each process, as :func:`peftir.training.distributed.launch` divides them."""
        return max(1, self.threads // self.processes)


def threads_of(stage: Stage) -> int | None:
    """The number of threads of ``stage``; None if it does not depend on the param ``threads``."""
    threads = _params_of(stage, "threads")
    return None if threads is None else int(threads)


def needs_of(stage: Stage, memory_mb: int = 0) -> Needs:
    """What ``stage`` needs by its params; ``memory_mb`` is from a measurement."""
    threads, block = threads_of(stage), PROCESSES.get(stage.name.partition("@")[0], "")
    key = f"{block}.processes"
    given = _params_of(stage, block)
    processes = given.get("processes", 1) if isinstance(given, dict) else _params_of(stage, key) or 1
    return Needs(threads or 1, threads is not None, memory_mb, int(processes), key)


def _params_of(stage: Stage, key: str) -> Any:
    """The value of the param ``key`` if ``stage`` depends on it, else None."""
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency) and key in dependency.params:
            return dependency.read_params().get(key, 1)
    return None
