"""The rankings of the study's models: retrieval and re-ranking. Importing it takes seconds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from peftir.data.collection import TextLookup
from peftir.models.biencoder import encode
from peftir.models.crossencoder import score_candidates
from peftir.ranking.dense import DenseIndex
from peftir.ranking.interpolation import rerank
from peftir.ranking.runs import Hits, search_excluding_own
from peftir.serve.chains import ModelName
from peftir.serve.shared_backbone import SharedBackbone
from peftir.study import layout
from peftir.study.params import Params


class ModelRankings:
    """Ranks with the models of the study in ``root``, by the functions of the stages; for one thread.

    Args:
        documents: gives the texts of documents.
    """

    def __init__(self, root: Path, params: Params, documents: TextLookup) -> None:
        self._root = root
        self._params = params
        self._documents = documents
        self._models = SharedBackbone(root, params)
        self._indexes: dict[ModelName, DenseIndex] = {}

    def __call__(self, name: ModelName, items: list[Any]) -> list[Hits]:
        """The rankings by a model for several queries.

        Args:
            name: of a retriever or a re-ranker.
            items: for a retriever pairs of a query's own document, which is left out, and the query (the
                document is empty if there is none); for a re-ranker pairs of the query and its candidates.

        Raises:
            PeftirError: the model or its index is missing or damaged.
        """
        return (self._retrieve if name.stage == "retriever" else self._rerank)(name, items)

    def _retrieve(self, name: ModelName, queries: list[tuple[str, str]]) -> list[Hits]:
        if name not in self._indexes:
            folder = self._root / layout.index(name.variant, name.seed)
            self._indexes[name] = DenseIndex(folder, self._params.retrieval.search_parameters)
        own, texts = [id for id, _ in queries], [text for _, text in queries]
        vectors = encode(self._models.model(name), texts, "query", self._params.backbone.precision)
        rankings = search_excluding_own(
            partial(self._indexes[name].search, own, vectors), self._params.retrieval.depth, any(own)
        )
        return [hits for _, hits in rankings]

    def _rerank(self, name: ModelName, items: list[tuple[str, Hits]]) -> list[Hits]:
        texts = {str(number): text for number, (text, _) in enumerate(items)}
        candidates = {str(number): hits for number, (_, hits) in enumerate(items)}
        scored = {number: hits[: self._params.reranking.depth] for number, hits in candidates.items()}
        scores = score_candidates(
            self._models.model(name), texts, scored, self._documents, self._params.backbone.precision
        )
        return list(rerank(candidates, scores).values())
