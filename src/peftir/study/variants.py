"""The block ``variants`` of ``params.yaml``."""

from __future__ import annotations

from pydantic import Field

from peftir.study.block import Block, NonEmpty
from peftir.study.tasks import StageName, TaskName


class Variants(Block):
    """Names of ``methods`` blocks to run: those that are trained, per stage, and untrained models."""

    untrained: list[str]
    untrained_reranker: list[str] = Field([])
    retriever: NonEmpty
    reranker: NonEmpty

    def trained(self, stage: StageName) -> list[str]:
        """The variants whose ``stage`` is trained."""
        return self.retriever if stage == "retriever" else self.reranker

    def at(self, task: TaskName) -> list[str]:
        """The variants that rank at ``task``, in the order of the tables."""
        return [*self.once(task), *(self.retriever if task == "retrieval" else self.reranker)]

    def once(self, task: TaskName) -> list[str]:
        """The untrained variants at ``task``, which run once for all seeds and folds."""
        return self.untrained if task == "retrieval" else self.untrained_reranker
