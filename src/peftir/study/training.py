"""The blocks of ``params.yaml`` about training: both models, mined negatives, and teachers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from peftir.study.block import Block
from peftir.study.blocks import Positive, Rate, Several, Share
from peftir.study.starts import YesNoParams

Beta = Annotated[float, Field(ge=0, lt=1)]
ScheduleName = Literal["linear", "cosine", "constant"]
RetrieverLossName = Literal["contrastive", "margin_mse", "kl"]
RerankerLossName = Literal["listwise", "ranknet", "hinge"]


class TrainingParams(Block):
    """What training a retriever and a re-ranker have in common."""

    steps: Positive
    batch_size: Positive
    mini_batch_size: Positive | None = None
    gradient_checkpointing: bool = False
    processes: Positive
    negatives_from: str
    """The ranking of the train queries from which negatives are sampled: its folder under ``runs``."""
    negatives_depth: Positive
    negatives_skip: Annotated[int, Field(ge=0)] = 0
    max_score_ratio: Rate | None = None
    min_score_margin: Annotated[float, Field(gt=0)] | None = None
    loss: str
    warmup: Share
    schedule: ScheduleName = "linear"
    betas: list[Beta] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
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

    tune: Literal["both", "query", "separate"] = "both"
    query_length: Annotated[int, Field(ge=4)]
    document_length: Annotated[int, Field(ge=4)]
    query_prefix: str
    document_prefix: str
    similarity: Literal["cosine", "dot"]
    hard_negatives: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0)]
    loss: RetrieverLossName = "contrastive"
    dev_documents: Several


class RerankerParams(TrainingParams):
    """Training of the cross-encoder."""

    yes_no: YesNoParams | None = None
    length: Annotated[int, Field(ge=8)]
    negatives: Positive
    loss: RerankerLossName = "listwise"
    head_learning_rate: Rate
    dev_depth: Several


class MiningParams(Block):
    """A named block under ``mining``: a retriever that ranks the documents for the train queries."""

    variant: str
    seed: Annotated[int, Field(ge=0)]
    negatives_from: str
    """Where the negatives come from that this retriever itself is trained with."""
    with_bm25: bool
    depth: Positive


class TeacherParams(Block):
    """A named block under ``teachers``: scores of the train queries' candidates for distillation."""

    scores: Annotated[str, Field(min_length=1)]
    """The folder of a re-ranker, or a file of scores."""
    negatives_from: str
    """The ranking whose top is scored."""
    depth: Positive
