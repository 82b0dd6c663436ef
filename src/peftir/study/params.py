"""``params.yaml``, read once into validated objects.

A mistake in the file ends in one line that names the key, the value and what was expected. Numbers in
scientific notation (``2e-5``) are numbers, as in YAML 1.2; a quoted one is a string, and so a mistake.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from peftir.study import depths, learnable, names, seeds
from peftir.system.errors import PeftirError
from peftir.system.files import unusable

Positive = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]  # one document cannot be ranked
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]
NonEmpty = Annotated[list[str], Field(min_length=1)]


class Block(BaseModel):
    """A block of ``params.yaml``: no unknown keys, no conversions between types, never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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
    pooling: Literal["cls", "mean", "last"]
    precision: Literal["bfloat16", "float32"]
    dropout: bool


class LearningRates(Block):
    """Peak learning rate of each stage."""

    retriever: Rate
    reranker: Rate


class Method(Block):
    """A named block under ``methods``: a method's type, its knobs and its learning rates.

    Which knobs a type takes is the tuners' to say (:func:`peftir.tuners.validate`).
    """

    type: str
    learning_rate: LearningRates | None = None
    budget: Rate | None = None
    """Share of the backbone's weights that may be trained; rank or length follow from it."""
    rank: Positive | None = None
    """Rank of bottlenecks or of the low-rank update, instead of a budget."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """LoRA's update is scaled by alpha / rank; 2 · rank if left out."""
    length: Positive | None = None
    """Trainable key/value vectors before every attention layer's own (prefix, MAM)."""
    length_ratio: Annotated[float, Field(gt=0)] | None = None
    """MAM's prefix length over rank, where the length is not given."""
    scale: Annotated[float, Field(gt=0)] | None = None
    """What MAM's parallel adapter is multiplied by."""
    base: str | None = None
    """What IAA's asides go around: adapter, lora, mam or none."""
    aside_rank: Positive | None = None
    """Rank of IAA's aside modules."""
    aside_ratio: Annotated[float, Field(gt=0)] | None = None
    """Aside rank over rank, where the aside rank is not given."""

    @property
    def knobs(self) -> dict[str, Any]:
        """What is passed on to :func:`peftir.tuners.attach`: the knobs that were given."""
        return self.model_dump(exclude={"type", "learning_rate"}, exclude_none=True)

    @model_validator(mode="after")
    def _a_rate_if_trained(self) -> Method:
        if (self.learning_rate is None) != (self.type == "zero_shot"):
            raise ValueError(
                "no learning_rate, since nothing is trained"
                if self.type == "zero_shot"
                else "a learning_rate with the keys retriever and reranker"
            )
        return self


class Variants(Block):
    """Names of ``methods`` blocks to run: those that are trained, per stage, and untrained retrievers."""

    untrained: list[str]
    retriever: NonEmpty
    reranker: NonEmpty

    def at(self, task: str) -> list[str]:
        """The variants that rank at ``task``, ``retrieval`` or ``reranking``, in the order of the tables."""
        return [*self.untrained, *self.retriever] if task == "retrieval" else list(self.reranker)


def _seed(value: object) -> seeds.Seed:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if whole or (isinstance(value, str) and seeds.FORM.fullmatch(value) and not value.isdigit()):
        return cast(seeds.Seed, value)
    raise ValueError(f"a whole number from 0, or one with a fold such as 13f1, not {value!r}")


SeedList = Annotated[list[Annotated[seeds.Seed, PlainValidator(_seed)]], Field(min_length=1)]


class Seeds(Block):
    """Seeds at each stage, with their folds if there are any; every variant runs once per entry."""

    retriever: SeedList
    reranker: SeedList


class TrainingParams(Block):
    """What training a retriever and a re-ranker have in common."""

    steps: Positive
    batch_size: Positive
    processes: Positive
    negatives_depth: Positive
    warmup: Share
    evaluate_every: Positive
    dev_queries: Positive
    selected_by: str

    @field_validator("processes")
    @classmethod
    def _a_query_for_each(cls, processes: int, given: ValidationInfo) -> int:
        if processes > given.data.get("batch_size", processes):
            raise ValueError(
                f"at most batch_size ({given.data['batch_size']}), so that each has a query, not {processes}"
            )
        return processes


class RetrieverParams(TrainingParams):
    """Training of the bi-encoder."""

    query_length: Annotated[int, Field(ge=4)]
    document_length: Annotated[int, Field(ge=4)]
    query_prefix: str
    document_prefix: str
    similarity: Literal["cosine", "dot"]
    hard_negatives: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0)]
    dev_documents: Several


class RerankerParams(TrainingParams):
    """Training of the cross-encoder."""

    length: Annotated[int, Field(ge=8)]
    negatives: Positive
    head_learning_rate: Rate
    dev_depth: Several


class IndexParams(Block):
    """The dense index."""

    factory: str
    train_sample: Positive
    processes: Positive


class RetrievalParams(Block):
    """First-stage retrieval."""

    depth: Positive
    search_parameters: str


class RerankingParams(Block):
    """Re-ranking of the candidates."""

    depth: Several
    keep: Positive
    processes: Positive


class QueriesPerStage(Block):
    """How many queries, per stage."""

    retriever: Positive
    reranker: Positive


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


class Params(Block):
    """All of ``params.yaml``; the keys are explained there."""

    collection: CollectionParams
    bm25: Bm25Params
    backbone: BackboneParams
    threads: Positive
    methods: dict[str, Method]
    variants: Variants
    seeds: Seeds
    retriever: RetrieverParams
    index: IndexParams
    retrieval: RetrievalParams
    reranker: RerankerParams
    reranking: RerankingParams
    measures: Measures
    learning: LearningParams

    def at_commit(self, commit: str) -> Params:
        """The same with ``commit`` as the backbone's revision."""
        return self.model_copy(update={"backbone": self.backbone.model_copy(update={"revision": commit})})

    def lengths(self) -> dict[str, int]:
        """How many tokens are read of a text, by key."""
        return {
            "retriever.query_length": self.retriever.query_length,
            "retriever.document_length": self.retriever.document_length,
            "reranker.length": self.reranker.length,
        }

    def prefixes(self) -> dict[str, tuple[str, str]]:
        """What stands before a text, by key, with the key of the length that it counts towards."""
        return {
            "retriever.query_prefix": (self.retriever.query_prefix, "retriever.query_length"),
            "retriever.document_prefix": (self.retriever.document_prefix, "retriever.document_length"),
        }

    def measure_names(self) -> list[tuple[str, str]]:
        """The key and the name of each measure that is asked for."""
        return [
            ("retriever.selected_by", self.retriever.selected_by),
            ("reranker.selected_by", self.reranker.selected_by),
            *(("measures.retrieval", name) for name in self.measures.retrieval),
            *(("measures.reranking", name) for name in self.measures.reranking),
        ]

    @model_validator(mode="after")
    def _something_can_be_learned(self) -> Params:
        if wrong := learnable.problem(self):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _variants_are_methods(self) -> Params:
        for key in ("untrained", "retriever", "reranker"):
            listed = getattr(self.variants, key)
            for name in listed:
                if name not in self.methods:
                    known = ", ".join(self.methods)
                    raise ValueError(f"variants.{key}: '{name}': expected a name under methods: {known}")
            if len(set(listed)) < len(listed):
                raise ValueError(f"variants.{key}: {listed}: expected each name once")
        return self

    @model_validator(mode="after")
    def _names_that_stay_apart(self) -> Params:
        if wrong := names.problem([*self.variants.at("retrieval"), *self.variants.reranker]):
            raise ValueError(f"methods.{wrong}")
        for task in ("retrieval", "reranking"):
            measures = getattr(self.measures, task)
            if len(set(measures)) < len(measures):
                raise ValueError(f"measures.{task}: {', '.join(measures)}: expected each measure once")
        return self

    @model_validator(mode="after")
    def _lists_are_as_deep_as_what_is_taken_from_them(self) -> Params:
        if wrong := depths.problem(self):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _untrained_variants_are_listed_as_such(self) -> Params:
        for name in self.variants.untrained:
            if self.methods[name].type != "zero_shot":
                raise ValueError(
                    f"variants.untrained: '{name}': expected a method of type zero_shot; trained ones go "
                    "under variants.retriever and variants.reranker"
                )
        for key, reason in (
            ("retriever", "zero_shot goes under variants.untrained, where it runs once whatever the seeds"),
            ("reranker", "an untrained head means nothing"),
        ):
            for name in getattr(self.variants, key):
                if self.methods[name].type == "zero_shot":
                    raise ValueError(f"variants.{key}: '{name}': expected a trained method: {reason}")
        return self

    @model_validator(mode="after")
    def _seeds_have_all_folds(self) -> Params:
        for stage in ("retriever", "reranker"):
            if wrong := seeds.problem(getattr(self.seeds, stage), self.collection.folds):
                raise ValueError(f"seeds.{stage}: {wrong}")
        return self


class _Loader(yaml.SafeLoader):
    """YAML with 1.2's numbers, as DVC has them: PyYAML reads ``1e-4`` as a string and ``015`` as thirteen."""


_INT = "tag:yaml.org,2002:int"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != _INT]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, re.compile(r"^[-+]?(0|[1-9]\d*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check ``path``.

    Raises:
        PeftirError: the file is missing, is not YAML, or a key or value is not as expected.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise PeftirError(f"{path}: not found; run from the folder that holds params.yaml") from error
    except OSError as error:
        raise unusable(path, error) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PeftirError(f"{path}: not readable as YAML: {error}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise PeftirError(f"{path}: {_in_one_line(error)}") from error


def _in_one_line(error: ValidationError) -> str:
    """The first mistake as ``key: value: what was expected``, and how many more there are."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        line = f"{key}: unknown key; expected {_expected_keys(first['loc'])}"
    elif first["type"] == "missing":
        line = f"{key}: missing"
    elif first["type"] == "value_error":
        reason = str(first["ctx"]["error"])
        line = f"{key}: expected {reason}" if key and not reason.startswith(key) else reason
    else:
        line = f"{key}: {first['input']!r}: {_expectation(first['msg'])}"
    more = error.error_count() - 1
    return line + (f" (and {more} more)" if more else "")


def _expectation(message: str) -> str:
    """Pydantic's message as an expectation: ``Input should be a valid number`` says less to a reader."""
    return re.sub(r"^Input should be", "expected", message)


def _expected_keys(loc: tuple[str | int, ...]) -> str:
    """The keys that the block holding the unknown key ``loc`` may have."""
    block: Any = Params
    for part in loc[:-1]:
        # Down into a field, or into one of the named blocks of `methods`.
        block = block.model_fields[part].annotation if hasattr(block, "model_fields") else get_args(block)[1]
        block = (
            next((kind for kind in get_args(block) if hasattr(kind, "model_fields")), block)
            if _optional(block)
            else block
        )
    return "one of " + ", ".join(block.model_fields)


def _optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)
