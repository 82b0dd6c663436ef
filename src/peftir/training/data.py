"""The training data of a stage, read from the study's artefacts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftir.data.collection import Collection
from peftir.ranking.candidates import read_candidates
from peftir.study import layout
from peftir.study.negatives import DISTILLATION
from peftir.study.training import TrainingParams
from peftir.training.examples import Sampler
from peftir.training.selection import NegativeSelection


@dataclass(frozen=True)
class TrainingData:
    """The collection, the texts of its train queries by id, and the sampler of examples."""

    collection: Collection
    queries: dict[str, str]
    sampler: Sampler

    @classmethod
    def read(
        cls, root: Path, fold: int | None, settings: TrainingParams, *, negatives: int, key: str
    ) -> TrainingData:
        """Read the training data.

        Args:
            root: the study's folder.
            fold: the fold whose train queries are used; ``None`` without folds.
            settings: which ranking negatives are sampled from, and how.
            negatives: the number of negatives per query.
            key: the key of ``negatives`` in ``params.yaml``, for errors.

        Raises:
            PeftirError: an artefact is missing or damaged, or no query has a relevant document.
        """
        collection = Collection(root / layout.COLLECTION, fold)
        qrels = collection.qrels("train")
        selection = NegativeSelection(
            settings.negatives_depth,
            settings.negatives_skip,
            settings.max_score_ratio,
            settings.min_score_margin,
        )
        # A relevant document, whose score is needed, may be anywhere in the ranking.
        teacher = settings.loss in DISTILLATION
        whole = teacher or selection.by_score
        candidates = read_candidates(
            root / layout.negatives(settings.negatives_from),
            qrels,
            None if whole else settings.negatives_depth,
            scored=whole,
        )
        sampler = Sampler(
            qrels,
            candidates,
            negatives=negatives,
            key=key,
            own_documents=collection.own_documents,
            selection=selection,
            scored=teacher,
        )
        return cls(collection, collection.queries("train"), sampler)
