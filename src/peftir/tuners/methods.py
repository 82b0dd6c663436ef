"""What a method is: its knobs, its budget and how it becomes a PEFT configuration."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from peft import PeftConfig

from peftir.tuners.errors import TunerError
from peftir.tuners.knobs import Knob
from peftir.tuners.places import Backbone


@dataclass(frozen=True)
class Method:
    """A way to tune an encoder.

    Attributes:
        name: its name, as ``type`` in a variant.
        summary: what it is, in a line.
        reference: the paper and section.
        knobs: the settings that it takes besides ``budget``.
        size: the knob that ``budget`` picks; None where there is nothing to pick.
        configure: ``configure(backbone, **knobs)`` makes the PEFT configuration; None if no module is added.
        count_parameters: ``count_parameters(backbone, **knobs)`` is the number of trained parameters, with
            biases and without the head.
        sizes: ``sizes(backbone, **knobs)`` gives the possible values of ``size``, in the order of the weights
            that they train; without it, every whole number from 1.
        agree: ``agree(**knobs)`` raises an error for knobs that do not go together; not called if left out.
        narrow: ``narrow(knobs, budget)`` gives the method that the knobs choose, and the knobs of that one.
        trains_backbone: whether the backbone's own weights are trained.
        vectors: names in ``adapter_layer_names`` of its layers whose weights are vectors, although they have
            more than one dimension (:func:`peftir.tuners.vector_names`).
        bases: where there is a choice of what is inside, the method for each; itself is the default.
    """

    name: str
    summary: str
    reference: str
    knobs: Mapping[str, Knob] = field(default_factory=lambda: MappingProxyType({}))
    size: str | None = None
    configure: Callable[..., PeftConfig] | None = None
    count_parameters: Callable[..., int] | None = None
    sizes: Callable[..., Sequence[int]] | None = None
    agree: Callable[..., object] | None = None
    narrow: Callable[..., tuple[Method, dict[str, Any]]] | None = None
    trains_backbone: bool = False
    vectors: tuple[str, ...] = ()
    bases: Mapping[str, Method] = field(default_factory=lambda: MappingProxyType({}))

    def over(self, base: object) -> Method:
        """The method with another base inside.

        Raises:
            TunerError: it has no such base.
        """
        if not self.bases:
            raise TunerError(f"base: got {base!r}, but {self.name} takes {self._takes}")
        if not isinstance(base, str) or base not in self.bases:
            raise TunerError(f"base: got {base!r}, expected one of {', '.join(self.bases)}")
        return self.bases[base]

    def check(self, budget: float | None, knobs: Mapping[str, Any]) -> None:
        """Check names, types, ranges and combinations.

        Raises:
            TunerError: names the key that is wrong.
        """
        given = {**knobs} if budget is None else {"budget": budget, **knobs}
        for key, value in knobs.items():
            if key not in self.knobs:
                raise TunerError(f"{key}: got {value!r}, but {self.name} takes {self._takes}")
            self.knobs[key].check(key, value)
            for other in self.knobs[key].excludes:
                if other in given:
                    both = f"got {given[other]!r} together with {key}={value!r}"
                    raise TunerError(f"{other}: {both}, expected one of the two")
        if budget is not None:
            self._check_budget(budget)
        elif self.size is not None and self.size not in knobs:
            raise TunerError(f"{self.size}: missing, {self.name} needs either {self.size} or budget")

    def resolve(
        self, backbone: Backbone, weights: int, budget: float | None, knobs: Mapping[str, Any]
    ) -> dict:
        """The knobs with the size filled in: as given, or the largest that stays within the budget.

        Args:
            backbone: the encoder at hand.
            weights: how many weights it has.
            budget: the share of them that may be trained.
            knobs: the other knobs, checked.

        Raises:
            TunerError: the budget is too small for the smallest size.
        """
        if budget is None or self.size is None or self.count_parameters is None:
            return dict(knobs)

        def count_parameters(size: int) -> int:
            assert self.count_parameters is not None
            return self.count_parameters(backbone, **{str(self.size): size}, **knobs)

        limit = budget * weights
        sizes = self.sizes(backbone, **knobs) if self.sizes else range(1, sys.maxsize)
        if not sizes:
            raise TunerError(
                f"budget: got {budget!r}, but no {self.size} fits this encoder's layers; give others"
            )
        if count_parameters(sizes[0]) > limit:
            least = count_parameters(sizes[0])
            raise TunerError(
                f"budget: got {budget!r}, too small for {self.name}: {self.size} {sizes[0]} trains {least:,} "
                f"of {weights:,} weights; the smallest budget that works is {_round_up(least / weights)}"
            )
        low, high = 0, 1
        while high < len(sizes) and count_parameters(sizes[high]) <= limit:
            low, high = high, 2 * high
        high = min(high, len(sizes))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if count_parameters(sizes[middle]) <= limit else (low, middle)
        return {**knobs, self.size: sizes[low]}

    def _check_budget(self, budget: object) -> None:
        expected = "a number between 0 and 1: the share of the backbone's weights that may be trained"
        if self.size is None:
            raise TunerError(f"budget: got {budget!r}, but {self.name} takes {self._takes}")
        if isinstance(budget, bool) or not isinstance(budget, int | float):
            raise TunerError(f"budget: got {budget!r} ({type(budget).__name__}), expected {expected}")
        if not 0 < budget < 1:
            raise TunerError(f"budget: got {budget!r}, expected {expected}")

    @property
    def _takes(self) -> str:
        keys = [*(["budget"] if self.size else []), *self.knobs]
        return ", ".join(keys) if keys else "no knobs"


def _round_up(share: float) -> float:
    """``share`` rounded up to three significant digits, so that the number shown is one that works."""
    digits = 2 - math.floor(math.log10(share))
    return round(math.ceil(share * 10**digits) / 10**digits, digits)
