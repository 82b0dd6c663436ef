"""The study as the report sees it: what the stages wrote for the variants and seeds in ``params.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import pandas as pd

from peftir.report.intervals import Difference, paired_difference

if TYPE_CHECKING:
    from peftir.params import Params, TrainingParams

Task = Literal["retrieval", "reranking"]
STEPS = {"retrieval": ("train_retriever", "index", "retrieve"), "reranking": ("train_reranker", "rerank")}
"""The pipeline's stages that run for every variant and seed, the training first."""


@dataclass(frozen=True)
class Weights:
    """How many weights a run trains: in the encoder, in the head on top of it, and the encoder's own."""

    trained: int
    head: int
    backbone: int

    @property
    def share(self) -> float:
        """What is trained in the encoder, as a share of it."""
        return self.trained / self.backbone


@dataclass(frozen=True)
class Resources:
    """What a stage took."""

    seconds: float
    peak_memory_mb: float
    seconds_per_step: float | None


@dataclass(frozen=True)
class Interpolation:
    """The weight of the re-ranker beside the first stage, and the dev measure at every weight tried."""

    weight: float
    dev: dict[float, float]


@dataclass(frozen=True)
class Model:
    """One variant, trained with one seed at one stage."""

    variant: str
    seed: int
    knobs: dict[str, object]
    weights: Weights
    stored_bytes: int
    best_step: int
    dev: pd.Series
    """The dev measure, indexed by step; empty where nothing is trained."""
    loss: pd.Series
    """The training loss, indexed by step; empty where nothing is trained."""
    resources: dict[str, Resources]
    """By the name of the stage."""
    interpolation: Interpolation | None


@dataclass(frozen=True)
class StageStudy:
    """All of one stage: retrieval or re-ranking."""

    task: Task
    settings: TrainingParams
    variants: list[str]
    seeds: list[int]
    measures: list[str]
    reference: str | None
    """The variant that is full fine-tuning, if there is one."""
    means: dict[str, dict[str, float]]
    """The mean over test queries and seeds, by row and measure."""
    per_query: pd.DataFrame
    """The first measure, a query a line and a row of the results a column; the mean over seeds."""
    models: dict[str, list[Model]]
    """By variant, in the order of the seeds."""

    @property
    def measure(self) -> str:
        """The first measure: the one that is compared."""
        return self.measures[0]

    @property
    def trained(self) -> list[str]:
        """The variants that train anything."""
        return [variant for variant in self.variants if self.models[variant][0].weights.trained > 0]

    @cached_property
    def differences(self) -> dict[str, Difference]:
        """How far each row is from full fine-tuning; an interpolated row from the interpolated one.

        Without the rows of full fine-tuning itself; empty where there is none.
        """
        if self.reference is None:
            return {}
        references = {row: self.reference + ("+bm25" if row.endswith("+bm25") else "") for row in self.means}
        return {
            row: paired_difference(self.per_query[row].to_numpy(), self.per_query[reference].to_numpy())
            for row, reference in references.items()
            if row != reference
        }

    def weights(self, variant: str) -> Weights:
        """The weights of ``variant``, which are the same for every seed."""
        return self.models[variant][0].weights


@dataclass(frozen=True)
class Study:
    """The whole study."""

    params: Params
    documents: int
    queries: dict[str, int]
    """By split."""
    retrieval: StageStudy
    reranking: StageStudy
    resources: dict[str, Resources]
    """Of the stages that run once, by name."""

    @property
    def variants(self) -> list[str]:
        """All variants, in the order of ``params.yaml``."""
        return list(dict.fromkeys([*self.retrieval.variants, *self.reranking.variants]))
