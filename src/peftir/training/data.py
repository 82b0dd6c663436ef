"""What a stage trains on, read from the study's artefacts: for training and for the analysis of its loss."""

from __future__ import annotations

from dataclasses import dataclass

from peftir.data.collection import Collection
from peftir.ranking.candidates import read_candidates
from peftir.study import layout
from peftir.training.examples import Sampler


@dataclass(frozen=True)
class TrainingData:
    """The collection, the texts of its train queries by id, and what draws examples of them."""

    collection: Collection
    queries: dict[str, str]
    sampler: Sampler

    @classmethod
    def read(cls, fold: int | None, *, negatives: int, key: str, depth: int) -> TrainingData:
        """Read them.

        Args:
            fold: whose train queries these are, if there are folds.
            negatives: how many a query gets.
            key: the setting that they come from, for whoever has to change it.
            depth: how far down BM25's list they are sampled from.

        Raises:
            PeftirError: an artefact is missing or damaged, or no query has a relevant document.
        """
        collection = Collection(layout.COLLECTION, fold)
        qrels = collection.qrels("train")
        candidates = read_candidates(layout.BM25_RUNS / "train.trec", qrels, depth)
        own = collection.own_documents
        sampler = Sampler(qrels, candidates, negatives=negatives, key=key, own_documents=own)
        return cls(collection, collection.queries("train"), sampler)
