"""The chains of a study: a first stage, and the re-ranker of its best documents if there is one.

A chain is written ``FIRST`` or ``FIRST/RERANKER``. ``FIRST`` is ``bm25``, a retriever, or ``rrf:RETRIEVER``
for the fusion of the two; models are named as their folders: ``lora-13``, or ``lora`` for the first seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError
from peftir.system.text import visible

BM25 = "bm25"
FUSED = "rrf:"


class UnknownChain(PeftirError):
    """There is no such chain in the study."""


@dataclass(frozen=True)
class ModelName:
    """A trained model of the study."""

    stage: StageName
    variant: str
    seed: Seed | None

    @property
    def key(self) -> str:
        """The name of its folders."""
        return layout.key(self.variant, self.seed)

    @property
    def folder(self) -> Path:
        """Where the study has the model."""
        return layout.model(self.stage, self.variant, self.seed)

    def is_in(self, root: Path) -> bool:
        """Whether the study in ``root`` has the model."""
        return (root / self.folder / "modules.json").is_file()


@dataclass(frozen=True)
class Chain:
    """How a query is answered."""

    bm25: bool
    retriever: ModelName | None
    """With ``bm25``, the two are fused."""
    reranker: ModelName | None

    def __str__(self) -> str:
        """The chain as it is written."""
        first = self.retriever.key if self.retriever else BM25
        return (FUSED if self.bm25 and self.retriever else "") + first + self._after

    @property
    def title(self) -> str:
        """The chain in words."""
        names = ([BM25.upper()] if self.bm25 else []) + ([self.retriever.key] if self.retriever else [])
        return " + ".join(names) + (f" → {self.reranker.key}" if self.reranker else "")

    @property
    def _after(self) -> str:
        return f"/{self.reranker.key}" if self.reranker else ""


class Chains:
    """The chains that the study in ``root`` has the models for.

    Attributes:
        retrievers: by key; those of ``params.yaml`` whose model and index are there.
        rerankers: by key; those of ``params.yaml`` whose model is there.
    """

    def __init__(self, root: Path, params: Params) -> None:
        names = [ModelName("retriever", variant, None) for variant in params.variants.untrained]
        names += _trained(params, "retriever")
        self.retrievers = {name.key: name for name in names if name.is_in(root) and _is_indexed(root, name)}
        names = [ModelName("reranker", variant, None) for variant in params.variants.untrained_reranker]
        names += _trained(params, "reranker")
        self.rerankers = {name.key: name for name in names if name.is_in(root)}

    def first_stages(self) -> list[str]:
        """Every ``FIRST``."""
        return [BM25, *self.retrievers, *(FUSED + key for key in self.retrievers)]

    def parse(self, text: str) -> Chain:
        """The chain that ``text`` names.

        Raises:
            UnknownChain: it names none, or one whose models are not there.
        """
        first, slash, reranker = text.partition("/")
        fused = first.startswith(FUSED)
        dense = None if first == BM25 else _named(first.removeprefix(FUSED), self.retrievers)
        second = _named(reranker, self.rerankers) if slash else None
        if (dense is None and first != BM25) or (second is None and slash):
            raise UnknownChain(
                f"chain: '{visible(text[:80])}': expected {BM25}, RETRIEVER or {FUSED}RETRIEVER, then "
                f"/RERANKER or nothing; the study has the retrievers {_listed(self.retrievers)} and the "
                f"re-rankers {_listed(self.rerankers)}"
            )
        return Chain(bm25=fused or first == BM25, retriever=dense, reranker=second)


def _trained(params: Params, stage: StageName) -> list[ModelName]:
    seeds = params.seeds.at(stage)
    return [ModelName(stage, variant, seed) for variant in params.variants.trained(stage) for seed in seeds]


def _is_indexed(root: Path, name: ModelName) -> bool:
    return (root / layout.index(name.variant, name.seed) / "index.faiss").is_file()


def _named(text: str, models: dict[str, ModelName]) -> ModelName | None:
    """The model whose key ``text`` is, else the first whose variant it is."""
    of_variant = (name for name in models.values() if name.variant == text)
    return models.get(text) or next(of_variant, None)


def _listed(models: dict[str, ModelName]) -> str:
    return ", ".join(models) or "(none)"
