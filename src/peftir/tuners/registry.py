"""The registry of methods, and how one is put onto a model."""

from __future__ import annotations

from typing import Any

import peft
import transformers
from peft import PeftConfig
from transformers import PreTrainedModel

from peftir.tuners import (
    adapter,
    bitfit,
    full,
    ia3,
    iaa_l,
    iaa_m,
    iaa_s,
    lora,
    mam,
    peft_method,
    prefix,
    zero_shot,
)
from peftir.tuners.errors import TunerError
from peftir.tuners.methods import Method
from peftir.tuners.places import Backbone
from peftir.tuners.weights import count

METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (zero_shot, full, bitfit, prefix, adapter, lora, ia3, mam, iaa_s, iaa_l, iaa_m, peft_method)
}
"""Every method by name."""


def validate(type: str, *, budget: float | None = None, **knobs: Any) -> None:
    """Check a variant without a model: the method's name, the knobs' names, types, ranges and combinations.

    Raises:
        TunerError: names the key that is wrong, its value and what was expected.
    """
    _checked(type, budget, knobs)


def make_config(
    type: str, model: PreTrainedModel, *, budget: float | None = None, **knobs: Any
) -> PeftConfig:
    """Make a method's PEFT configuration for a model, for ``model.add_adapter`` or ``peft.get_peft_model``.

    Args:
        type: a name in ``METHODS`` that adds modules.
        model: a bare encoder (bi-encoder) or a sequence-classification model (cross-encoder); not changed.
        budget: the share of the backbone's weights that may be trained, head not counted, biases counted;
            picks the largest rank or length that does not pass it.
        knobs: the method's knobs, such as ``rank``.

    Raises:
        TunerError: a wrong key or value, an unknown family or one that does not admit the method, or a method
            that adds no modules.
    """
    method, knobs = _checked(type, budget, knobs)
    if method.configure is None:
        raise TunerError(
            f"type: got {type!r}, which adds no modules, so has no PEFT configuration; use attach"
        )
    return _settled(method, model, budget, knobs)[0]


def attach(model: PreTrainedModel, type: str, *, budget: float | None = None, **knobs: Any) -> dict[str, Any]:
    """Put a method onto a model, in place: freeze the backbone, insert the modules, train the head if any.

    The model computes what it did before until the first optimizer step, but for a prefix (``prefix``,
    ``mam``), which the attention sees from the start. Initial weights follow from torch's global seed.
    ``full`` makes everything trainable, ``zero_shot`` nothing, the head included.

    With ``full``, the pooler of a bare BERT gets no gradient where only hidden states are used, which stops
    ``DistributedDataParallel``: load the model with ``add_pooling_layer=False``, or tell that class to
    ``find_unused_parameters``.

    Args:
        model: as for ``make_config``; of a SentenceTransformer or a CrossEncoder take ``[0].model``.
        type: a name in ``METHODS``.
        budget: as for ``make_config``.
        knobs: as for ``make_config``.

    Returns:
        The knobs in effect, with those that the budget settled.

    Raises:
        TunerError: a wrong key or value, or an unknown family or one that does not admit the method.
    """
    method, others = _checked(type, budget, knobs)
    if method.configure is None:
        model.requires_grad_(method.trains_backbone)
        return knobs
    config, settled = _settled(method, model, budget, others)
    peft_method.refuse_add_adapter(config)
    try:
        model.add_adapter(config)
    except ValueError as error:
        # transformers from 5.24 on refuses every PEFT that is released, here and when the model is saved.
        if "version of PEFT" not in str(error):
            raise
        raise TunerError(
            f"transformers {transformers.__version__} refuses PEFT {peft.__version__} ({error}); install "
            "transformers below 5.24, or take make_config and peft.get_peft_model, which it does not check"
        ) from error
    chosen = {"base": knobs["base"]} if "base" in knobs else {}
    if "config" in knobs:
        chosen |= {"config.peft_type": knobs["config"]["peft_type"]}
    return {**chosen, **settled}


def _checked(type: str, budget: float | None, knobs: dict[str, Any]) -> tuple[Method, dict[str, Any]]:
    """The method that the knobs choose, and its own knobs."""
    if type not in METHODS:
        raise TunerError(f"type: got {type!r}, expected one of {', '.join(METHODS)}")
    method = METHODS[type]
    if "base" in knobs:
        method = method.over(knobs["base"])
    knobs = {key: value for key, value in knobs.items() if key != "base"}
    if method.narrow:
        method, knobs = method.narrow(knobs, budget)
    method.check(budget, knobs)
    if method.agree:
        method.agree(**knobs)
    return method, knobs


def _settled(
    method: Method, model: PreTrainedModel, budget: float | None, knobs: dict[str, Any]
) -> tuple[PeftConfig, dict[str, Any]]:
    """The configuration, and the knobs with those that the budget settles."""
    assert method.configure is not None and method.count_parameters is not None
    backbone = Backbone.of(model)
    settled = method.resolve(backbone, count(model).backbone, budget, knobs)
    # A family that does not admit the method is found out before anything is put into the model.
    method.count_parameters(backbone, **settled)
    return method.configure(backbone, **settled), settled
