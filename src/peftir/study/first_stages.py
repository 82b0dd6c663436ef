"""The blocks of ``params.yaml`` on the rankings that need no training, and on what is re-ranked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from peftir.study import layout
from peftir.study.blocks import Block, Positive, Several, Share
from peftir.study.rows import BM25_NAME, name_of

if TYPE_CHECKING:
    from peftir.study.params import Params


class LexicalParams(Block):
    """A named block under ``lexical``: a ranking without a model, beside BM25."""

    type: Literal["bm25", "rm3"]
    k1: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] | None = None
    """The values that are tried on dev, for type bm25; so are those of b."""
    b: Annotated[list[Share], Field(min_length=1)] | None = None
    selected_by: str | None = None
    """The measure on dev by which k1 and b are selected."""
    feedback_terms: Positive | None = None
    """RM3's number of expansion terms; so are its documents, and the weight of the original query."""
    feedback_documents: Positive | None = None
    query_weight: Share | None = None

    @model_validator(mode="after")
    def _keys_of_the_type(self) -> LexicalParams:
        expected = {
            "bm25": {"k1", "b", "selected_by"},
            "rm3": {"feedback_terms", "feedback_documents", "query_weight"},
        }[self.type]
        given = set(self.model_dump(exclude={"type"}, exclude_none=True))
        if given != expected:
            raise ValueError(f"the keys {', '.join(sorted(expected))} with type: {self.type}")
        return self


class RerankingParams(Block):
    """Re-ranking of the candidates."""

    candidates: str
    """A run by its folder under ``runs``."""
    depth: Several
    keep: Positive
    processes: Positive

    @property
    def first_stage(self) -> str:
        """The name of the ranking that is re-ranked."""
        return name_of(self.candidates)


def problem(given: Params) -> str | None:
    """The first mistake in ``reranking.candidates`` and ``chains``, with what was expected."""
    retrievers = list(_retrievers(given))
    runs = [BM25_NAME, *(f"retrieval/{name}" for name in [*given.lexical, *retrievers])]
    candidates = given.reranking.candidates
    if candidates not in runs:
        return f"reranking.candidates: '{candidates}': expected one of {', '.join(runs)}"
    if given.reranking.first_stage in given.variants.at("reranking"):
        return (
            f"reranking.candidates: '{candidates}': expected a ranking that is not called as a re-ranker: "
            f"'{given.reranking.first_stage}' is under variants.untrained_reranker, too"
        )
    for name in given.chains:
        if name not in retrievers:
            return f"chains: '{name}': expected one of {', '.join(retrievers)}"
    if len(set(given.chains)) < len(given.chains):
        return f"chains: {', '.join(given.chains)}: expected each name once"
    if given.collection.folds:
        reason = (
            f"since collection.folds is {given.collection.folds} and one retriever ranks for one fold alone"
        )
        if candidates != BM25_NAME:
            return f"reranking.candidates: '{candidates}': expected {BM25_NAME}, {reason}"
        if given.chains:
            return f"chains: {', '.join(given.chains)}: expected [], {reason}"
    return None


def _retrievers(given: Params) -> Iterator[str]:
    """The names of the retrievers' runs: variants, with their seeds if they are trained."""
    yield from given.variants.untrained
    for variant in given.variants.retriever:
        yield from (layout.key(variant, seed) for seed in given.seeds.retriever)
