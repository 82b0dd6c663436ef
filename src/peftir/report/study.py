"""The study as the report sees it: what the stages wrote for the variants and seeds in ``params.yaml``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from peftir.report.learned import Learned
from peftir.report.rivals import Competitor, baselines, peers
from peftir.statistics.comparisons import RowComparison, Spread
from peftir.study.rows import Row
from peftir.study.seeds import Seed
from peftir.study.tasks import BY_NAME, TaskName

if TYPE_CHECKING:
    from peftir.report.chains import ChainStudy
    from peftir.study.params import Params, TrainingParams


IN_NATS = ("contrastive", "kl", "listwise", "ranknet")
"""The losses that are logarithms of probabilities; others are in the unit of the scores, or its square."""


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters: trained in the encoder, trained in the head, and the encoder's own."""

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
    memory_mb: dict[str, float | None] = field(default_factory=dict)
    """Of a training step, by what it holds; ``activations`` is None without a GPU."""
    tokens_per_second: float | None = None
    mfu: float | None = None
    """The share of the GPU's peak that the training reached."""

    @property
    def on_gpu(self) -> bool:
        """Whether the memory is a GPU's, which is known to the last part."""
        return self.memory_mb.get("activations") is not None

    @property
    def training_memory_mb(self) -> float:
        """The peak of the GPU's memory in a step, else that of the process."""
        return sum(filter(None, self.memory_mb.values())) if self.on_gpu else self.peak_memory_mb


@dataclass(frozen=True)
class Interpolation:
    """The weight of the re-ranker beside the first stage, and the dev measure at every weight tried."""

    weight: float
    dev: dict[float, float]

    @property
    def ties(self) -> int:
        """How many weights were as good on dev as the one that was chosen."""
        return sum(value == max(self.dev.values()) for value in self.dev.values())


@dataclass(frozen=True)
class ModelRecord:
    """One variant, trained with one seed, for one fold if there are any, at one stage."""

    variant: str
    seed: Seed | None
    """``None`` for an untrained one."""
    knobs: dict[str, object]
    weights: ParameterCounts
    stored_bytes: int
    best_step: int
    dev: pd.Series
    """The dev measure, indexed by step; empty where nothing is trained."""
    loss: pd.Series
    """The training loss, indexed by step; empty where nothing is trained."""
    resources: dict[str, Resources]
    """By the name of the stage."""
    interpolation: Interpolation | None
    start_from: bool = False
    """Whether training went on from a given adapter."""
    scores_untrained: bool = False
    """Whether it is a re-ranker that could score before training."""


@dataclass(frozen=True)
class StageResults(ABC):
    """The results of one stage, retrieval or re-ranking, which the claims are about."""

    task: TaskName
    variants: list[str]
    trainings: list[Seed]
    """The seeds of each trained variant's models as in ``params.yaml``: with their folds if there are any."""
    seeds: list[int]
    """What the results are means over; where there are folds, a seed has a model for each."""
    measures: list[str]
    rows: list[Row]
    """The rows of the results, in their order; the first is BM25 or, for re-ranking, the candidates."""
    reference: str | None
    """The variant that is full fine-tuning, if there is one."""
    kinds: dict[str, str]
    """The method that each variant is a kind of, see :func:`peftir.report.rivals.kind`."""
    spread: dict[str, dict[str, Spread]]
    """The mean over test queries and seeds and how sure it is, by row and measure."""
    comparisons: dict[str, dict[tuple[str, str], RowComparison]]
    """By measure and pair of rows, either way round."""

    @abstractmethod
    def weights(self, variant: str) -> ParameterCounts:
        """The weights of ``variant``, which are the same for every seed."""

    @abstractmethod
    def best_steps(self, variant: str) -> list[int]:
        """The step of each model of ``variant``, in the order of the seeds in ``params.yaml``."""

    @property
    def single(self) -> str:
        """What a training is one of: ``seed`` or ``fold``."""
        return "seed" if list(self.trainings) == list(self.seeds) else "fold"

    @property
    def measure(self) -> str:
        """The first measure: the one that is compared."""
        return self.measures[0]

    @property
    def trained(self) -> list[str]:
        """The variants that train anything."""
        return [variant for variant in self.variants if self.weights(variant).trained > 0]

    def untrained(self, variant: str) -> int:
        """How many models of a trained variant are of step 0, since no later one was better on dev."""
        return self.best_steps(variant).count(0)

    @property
    def learned_something(self) -> list[str]:
        """The trained variants of which some model is of a later step than 0."""
        return [name for name in self.trained if any(self.best_steps(name))]

    @property
    def queries(self) -> int:
        """How many test queries the measures are means over."""
        return self.spread[self.rows[0].name][self.measure].queries

    @property
    def small(self) -> list[str]:
        """The trained variants but full fine-tuning."""
        return [variant for variant in self.trained if self.kinds[variant] != "full"]

    def mean(self, row: str, measure: str | None = None) -> float:
        """The mean of ``measure``, the first one if not given, over test queries and seeds."""
        return self.spread[row][measure or self.measure].mean

    def against_full(self, row: str, measure: str | None = None) -> RowComparison | None:
        """``row`` against full fine-tuning, an interpolated row against the interpolated one.

        ``None`` for full fine-tuning itself, and where there is none.
        """
        if self.reference is None:
            return None
        reference = Row.of(row).of_variant(self.reference).name
        return self.comparisons[measure or self.measure].get((row, reference))

    @property
    def without_model(self) -> list[str]:
        """The names of the rows without a model."""
        return [row.name for row in self.rows if row.variant is None]

    @property
    def competitors(self) -> dict[str, Competitor]:
        """The variants, with what determines their comparisons."""
        return {name: Competitor(self.kinds[name], self.weights(name).trained) for name in self.variants}

    @property
    def baselines(self) -> list[str]:
        """The rows that every trained variant is compared with: untrained variants, or else the first row."""
        return baselines(self.competitors, self.rows[0].name)

    def peers(self, variant: str) -> list[str]:
        """The variants of other methods that train about as many weights as ``variant``."""
        return peers(variant, self.competitors)

    def rival(self, row: str, measure: str | None = None) -> str | None:
        """The row with the best mean among the other methods that train as many weights as an IAA's ``row``.

        ``None`` for what is not IAA, and where there is no such other.
        """
        variant = Row.of(row).variant
        if variant is None or self.kinds.get(variant) != "iaa":
            return None
        others = [Row.of(row).of_variant(peer).name for peer in self.peers(variant)]
        return max(others, key=lambda other: self.mean(other, measure), default=None)

    def against_rival(self, row: str, measure: str | None = None) -> RowComparison | None:
        """``row`` against its rival, if it has one."""
        rival = self.rival(row, measure)
        return self.comparisons[measure or self.measure][row, rival] if rival else None


@dataclass(frozen=True)
class StageStudy(StageResults):
    """All of one stage, as the report needs it."""

    settings: TrainingParams
    models: dict[str, list[ModelRecord]]
    """By variant, in the order of the seeds in ``params.yaml``."""
    learned: Learned | None
    """What the analysis of learning found, if it has run."""

    def weights(self, variant: str) -> ParameterCounts:
        """The weights of ``variant``, which are the same for every seed."""
        return self.models[variant][0].weights

    def best_steps(self, variant: str) -> list[int]:
        """The step of each model of ``variant``, in the order of the seeds in ``params.yaml``."""
        return [model.best_step for model in self.models[variant]]

    def training(self, variant: str) -> list[Resources]:
        """What each training of a trained ``variant`` took."""
        return [model.resources[BY_NAME[self.task].dvc_stages[0]] for model in self.models[variant]]

    @property
    def loss_unit(self) -> str | None:
        """The unit of the training loss, if it has one of its own."""
        return "nats" if self.settings.loss in IN_NATS else None

    @property
    def on_gpu(self) -> bool:
        """Whether every training ran on a GPU."""
        return all(spent.on_gpu for name in self.trained for spent in self.training(name))


@dataclass(frozen=True)
class TestSetStudy:
    """What the variants reach on a test set, by task."""

    name: str
    source: str
    own_corpus: bool
    """Whether its documents are others than the collection's, so that it measures transfer."""
    measures: dict[TaskName, list[str]]
    spread: dict[TaskName, dict[str, dict[str, Spread]]]
    """The mean over queries and seeds and how sure it is, by row and measure."""
    comparisons: dict[TaskName, dict[str, dict[tuple[str, str], RowComparison]]]
    """By measure and pair of rows, either way round; corrected are those with the row training began from."""


@dataclass(frozen=True)
class Study:
    """The whole study."""

    params: Params
    documents: int
    queries: dict[str, int]
    """By split."""
    retrieval: StageStudy
    reranking: StageStudy
    folds: list[dict[str, int]]
    """How many queries each split of a fold has; empty where there are no folds."""
    dev_held_out: bool
    """Whether the dev queries are a share of the source's train queries."""
    resources: dict[str, Resources]
    """Of the stages that run once, by name."""
    tests: list[TestSetStudy]
    """Further test sets, in the order of ``params.yaml``."""
    chains: list[ChainStudy]
    """The chains with each retriever that ``params.yaml`` names for them."""

    @property
    def variants(self) -> list[str]:
        """All variants, in the order of ``params.yaml``."""
        return list(dict.fromkeys([*self.retrieval.variants, *self.reranking.variants]))
