"""The blocks of ``params.yaml`` about what a training starts from."""

from __future__ import annotations

import re

from pydantic import field_validator

from peftir.study.block import Block
from peftir.study.tasks import StageName


class StartFrom(Block):
    """Folders of trained models whose adapters a training goes on from, per stage."""

    retriever: str | None = None
    reranker: str | None = None

    def at(self, stage: StageName) -> str | None:
        """The folder for one of them."""
        return self.retriever if stage == "retriever" else self.reranker


class YesNoParams(Block):
    """How a causal language model is asked whether a document is relevant."""

    prompt: str
    yes: str = "yes"
    no: str = "no"

    @field_validator("prompt")
    @classmethod
    def _both_texts_once(cls, prompt: str) -> str:
        found = re.findall(r"\{(?:query|document)\}", prompt)
        if found != ["{query}", "{document}"]:
            raise ValueError(f"a text with {{query}} and then {{document}}, each once, not {prompt!r}")
        return prompt
