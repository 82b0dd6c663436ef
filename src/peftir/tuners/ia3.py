"""(IA)³ (Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context
Learning", section 3.3), as implemented in PEFT.

Keys, values and the inner activations of the feed-forward are multiplied by trained vectors, initialized to
one. Number of parameters: L·(2·d + d_ff).
"""

from __future__ import annotations

import re
from typing import Any

from peft import IA3Config

from peftir.tuners.methods import Method
from peftir.tuners.places import Backbone


def count_parameters(backbone: Backbone) -> int:
    """The number of parameters.

    Raises:
        TunerError: the family does not support (IA)³.
    """
    keys_and_values, inner = backbone.scaled
    projections: list[Any] = [backbone.model.get_submodule(name) for name in keys_and_values]
    outputs: list[Any] = [backbone.model.get_submodule(name) for name in inner]
    return sum(p.out_features for p in projections) + sum(p.in_features for p in outputs)


def configure(backbone: Backbone) -> IA3Config:
    """Return the configuration for ``backbone``.

    It has full module names, since PEFT's suffix match of ``output.dense`` includes BERT's
    ``attention.output.dense``.
    """
    keys_and_values, inner = backbone.scaled
    return IA3Config(
        target_modules=_any_of(keys_and_values + inner),
        feedforward_modules=_any_of(inner),
        modules_to_save=backbone.head or None,
    )


def _any_of(names: list[str]) -> str:
    """A regular expression that matches exactly these modules, with any prefix added by PEFT."""
    in_any_layer = dict.fromkeys(
        re.sub(r"\\\.\d+\\\.", r"\\.\\d+\\.", re.escape(name), count=1) for name in names
    )
    return f"(.*\\.)?({'|'.join(in_any_layer)})"


METHOD = Method(
    name="ia3",
    summary="trained factors for keys, values and the feed-forward's inner activations",
    reference="Liu et al. 2022, section 3.3",
    configure=configure,
    count_parameters=count_parameters,
    vectors=("ia3_l",),
)
