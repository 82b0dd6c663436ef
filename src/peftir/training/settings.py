"""The hyperparameters of a training."""

from __future__ import annotations

from dataclasses import dataclass

from peftir.study.params import MethodParams, Params
from peftir.study.tasks import StageName
from peftir.study.training import ScheduleName


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of a training.

    Attributes:
        learning_rate: peak learning rate, at the end of the warm-up.
        head_learning_rate: peak learning rate of the head.
        warmup: share of the steps in the warm-up.
        evaluate_every: steps between two evaluations on dev.
        precision: ``bfloat16`` or ``float32`` (:func:`peftir.models.precision.computing_in`).
        dropout: whether the backbone's own dropout is on.
        schedule: the decay of the learning rates after the warm-up
            (:func:`peftir.training.optimizer.schedule`).
        betas: AdamW's decay rates of the running averages of the gradient and of its square.
        weight_decay: AdamW's weight decay of matrices; vectors have none.
        max_grad_norm: maximum norm of the gradient of all weights, for clipping; ``None`` for no clipping.
        gradient_checkpointing: whether the backward pass recomputes the layers' activations
            (:mod:`peftir.training.gradient_checkpointing`).
    """

    learning_rate: float
    head_learning_rate: float
    warmup: float
    evaluate_every: int
    precision: str
    dropout: bool
    schedule: ScheduleName = "linear"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    max_grad_norm: float | None = 1.0
    gradient_checkpointing: bool = False

    @classmethod
    def of(cls, params: Params, stage: StageName, method: MethodParams) -> Settings:
        """The settings of ``stage`` in ``params``, with the learning rates of ``method``."""
        training = params.training(stage)
        rate = method.learning_rate.at(stage) if method.learning_rate else 0.0
        return cls(
            learning_rate=rate,
            head_learning_rate=getattr(training, "head_learning_rate", rate),
            warmup=training.warmup,
            evaluate_every=training.evaluate_every,
            precision=params.backbone.precision,
            dropout=params.backbone.dropout,
            schedule=training.schedule,
            betas=(training.betas[0], training.betas[1]),
            weight_decay=training.weight_decay,
            max_grad_norm=training.max_grad_norm,
            gradient_checkpointing=training.gradient_checkpointing,
        )
