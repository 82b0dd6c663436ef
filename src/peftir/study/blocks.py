"""The blocks of ``params.yaml`` as validated objects; the keys are explained there."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar, cast

from pydantic import Field, PlainValidator, model_validator

from peftir.study import seeds
from peftir.study.block import Block, NonEmpty
from peftir.study.starts import StartFrom
from peftir.study.tasks import StageName, TaskName

T = TypeVar("T")
Positive = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]  # one document cannot be ranked
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]


class PerStage(Block, Generic[T]):
    """A value for each of the two trained models."""

    retriever: T
    reranker: T

    def at(self, stage: StageName) -> T:
        """The value of one of them."""
        return self.retriever if stage == "retriever" else self.reranker


class Splits(Block):
    """Share of the queries in each split."""

    train: Rate
    dev: Rate
    test: Rate

    @model_validator(mode="after")
    def _sum_to_one(self) -> Splits:
        if abs(self.train + self.dev + self.test - 1) > 1e-6:
            raise ValueError(f"shares that add up to 1, not {self.train + self.dev + self.test:g}")
        return self


class CollectionParams(Block):
    """Where documents, queries and judgements come from."""

    source: str
    documents: Annotated[int, Field(ge=10)] | None
    splits: Splits
    train_share: Annotated[float, Field(gt=0, le=1)] = 1
    own_documents: bool = False
    folds: Annotated[int, Field(ge=2)] | None = None


class Bm25Params(Block):
    """BM25 through Anserini."""

    k1: Annotated[float, Field(ge=0)]
    b: Share
    depth: Positive
    train_depth: Positive
    threads: Positive


class BackboneParams(Block):
    """The pre-trained encoder that every variant starts from."""

    name: str
    revision: str | None
    pooling: Literal["cls", "mean", "last", "model"]
    precision: Literal["bfloat16", "float32"]
    dropout: bool
    weights: Literal["float32", "bfloat16", "nf4"] = "float32"
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2", "flash_attention_3"] | None = None
    bidirectional: bool = False
    append_eos: bool = False


class LearningRates(PerStage[Rate]):
    """Peak learning rate of each model."""


class MethodParams(Block):
    """A named block under ``methods``: a method's type, its knobs and its learning rates.

    Which knobs a type takes is the tuners' to say (:func:`peftir.tuners.validate`).
    """

    type: str
    learning_rate: LearningRates | None = None
    start_from: StartFrom | None = None
    """Models of the same method to go on from, instead of the method's own initial weights."""
    budget: Rate | None = None
    """Share of the backbone's weights that may be trained; rank or length follow from it."""
    rank: Positive | None = None
    """Rank of bottlenecks or of the low-rank update, instead of a budget."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """LoRA's update is scaled by alpha / rank; 2 · rank if left out."""
    target_modules: str | NonEmpty | None = None
    """LoRA's linear layers: all-linear or names of modules; query and value if left out."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Probability that an input of LoRA's update is dropped in training; 0 if left out."""
    use_rslora: bool | None = None
    """Scale LoRA's update by alpha / √rank."""
    use_dora: bool | None = None
    """DoRA: train the length of each row of the updated weights, too."""
    init_lora_weights: str | None = None
    """How LoRA starts: gaussian, orthogonal, olora or pissa; PEFT's default if left out."""
    config: dict[str, Any] | None = None
    """For type or base peft: peft_type and the fields of PEFT's configuration of that type."""
    size: str | None = None
    """For type or base peft: the field of config that the budget determines, where it is not known."""
    length: Positive | None = None
    """Trainable key/value vectors before every attention layer's own (prefix, MAM)."""
    length_ratio: Annotated[float, Field(gt=0)] | None = None
    """MAM's prefix length over rank, where the length is not given."""
    scale: Annotated[float, Field(gt=0)] | None = None
    """What MAM's parallel adapter is multiplied by."""
    base: str | None = None
    """What IAA's asides go around: adapter, lora, mam, peft or none."""
    aside_rank: Positive | None = None
    """Rank of IAA's aside modules."""
    aside_ratio: Annotated[float, Field(gt=0)] | None = None
    """Aside rank over rank, where the aside rank is not given."""

    @property
    def knobs(self) -> dict[str, Any]:
        """What is passed on to :func:`peftir.tuners.attach`: the knobs that were given."""
        return self.model_dump(exclude={"type", "learning_rate", "start_from"}, exclude_none=True)

    @model_validator(mode="after")
    def _a_rate_if_trained_and_a_start_if_an_adapter(self) -> MethodParams:
        if (self.learning_rate is None) != (self.type == "zero_shot"):
            raise ValueError(
                "no learning_rate, since nothing is trained"
                if self.type == "zero_shot"
                else "a learning_rate with the keys retriever and reranker"
            )
        if self.start_from is not None and self.type in ("full", "zero_shot"):
            raise ValueError(
                f"no start_from, since {self.type} has no adapter; a folder tuned with full is a backbone"
            )
        return self


def _seed(value: object) -> seeds.Seed:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if whole or (isinstance(value, str) and seeds.FORM.fullmatch(value) and not value.isdigit()):
        return cast(seeds.Seed, value)
    raise ValueError(f"a whole number from 0, or one with a fold such as 13f1, not {value!r}")


SeedList = Annotated[list[Annotated[seeds.Seed, PlainValidator(_seed)]], Field(min_length=1)]


class Seeds(PerStage[SeedList]):
    """Seeds of each model, with their folds if there are any; every variant runs once per entry."""


class IndexParams(Block):
    """The dense index."""

    factory: str
    train_sample: Positive
    processes: Positive


class RetrievalParams(Block):
    """First-stage retrieval."""

    depth: Positive
    search_parameters: str


class QueriesPerStage(PerStage[Positive]):
    """A number of queries for each model."""


class LearningParams(Block):
    """The analysis of the loss around trained models."""

    seeds: Annotated[int, Field(ge=0)]
    queries: QueriesPerStage
    span: Annotated[float, Field(gt=0)]
    points: Annotated[int, Field(ge=3)]
    iterations: Positive
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _a_point_in_the_middle(self) -> LearningParams:
        if self.points % 2 == 0:
            raise ValueError(f"an odd number of points, so that one is the model itself, not {self.points}")
        return self


class Measures(Block):
    """Measures at each stage, as ir-measures spells them."""

    retrieval: NonEmpty
    reranking: NonEmpty

    def at(self, task: TaskName) -> list[str]:
        """The measures of ``task``."""
        return self.retrieval if task == "retrieval" else self.reranking


class TestSetParams(Block):
    """A named block under ``tests``: further test queries, of the study's corpus or of one of their own."""

    source: Annotated[str, Field(min_length=1)]
    corpus: Literal["same", "own"] = "own"
    own_documents: bool = False
    measures: Measures | None = None
    """The study's if left out."""
