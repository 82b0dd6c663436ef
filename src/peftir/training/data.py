"""The training data of a stage, read from the study's artefacts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftir.data.collection import Collection
from peftir.ranking.candidates import read_candidates
from peftir.study import layout
from peftir.training.examples import Sampler


@dataclass(frozen=True)
class TrainingData:
    """The collection, the texts of its train queries by id, and the sampler of examples."""

    collection: Collection
    queries: dict[str, str]
    sampler: Sampler

    @classmethod
    def read(cls, root: Path, fold: int | None, *, negatives: int, key: str, depth: int) -> TrainingData:
        """Read the training data.

        Args:
            root: the study's folder.
            fold: the fold whose train queries are used; ``None`` without folds.
            negatives: the number of negatives per query.
            key: the key of ``negatives`` in ``params.yaml``, for errors.
            depth: the depth of the BM25 run from which negatives are sampled.

        Raises:
            PeftirError: an artefact is missing or damaged, or no query has a relevant document.
        """
        collection = Collection(root / layout.COLLECTION, fold)
        qrels = collection.qrels("train")
        candidates = read_candidates(root / layout.BM25_RUNS / "train.trec", qrels, depth)
        sampler = Sampler(
            qrels, candidates, negatives=negatives, key=key, own_documents=collection.own_documents
        )
        return cls(collection, collection.queries("train"), sampler)
