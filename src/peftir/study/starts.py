"""The blocks of ``params.yaml`` about what a training starts from."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import field_validator

from peftir.study.block import Block
from peftir.study.tasks import StageName

OUTPUTS = tuple(Path("models") / name for name in ("retriever", "reranker", "mining"))
"""The folders of the models that a study trains, by stage."""


def own_output(folder: str) -> Path | None:
    """The one of ``OUTPUTS`` that has ``folder``, a path relative to the study; ``None`` if none has it."""
    path = Path(os.path.normpath(folder))
    return next((output for output in OUTPUTS if output in (path, *path.parents)), None)


class StartFrom(Block):
    """Folders of trained models whose adapters a training goes on from, per stage."""

    retriever: str | None = None
    reranker: str | None = None

    @field_validator("retriever", "reranker")
    @classmethod
    def _from_elsewhere(cls, folder: str | None) -> str | None:
        if folder is not None and own_output(folder):
            raise ValueError(
                f"a model that no stage of this study writes, since DVC would not train the two in order, "
                f"not '{folder}': copy it to another folder, such as starts/{Path(folder).name}"
            )
        return folder

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
        if len({before.endswith(" ") for before in re.split(r"\{query\}|\{document\}", prompt)[:2]}) == 2:
            raise ValueError(
                "a space before both {query} and {document} or before neither, since a tokenizer joins it to "
                f"the text, and both texts are tokenized alike, not {prompt!r}"
            )
        return prompt
