"""The aside modules of IAA (Ma et al. 2022, "Scattered or Connected?", section 5).

An aside is a bottleneck without inner residual, parallel to frozen modules: it has the same input, and its
output is added to theirs. The asides connect the modules inserted inside into one trainable path from the
first layer to the last. In the paper the inserted modules are adapters; here ``base`` is ``adapter``,
``lora``, ``mam``, ``peft`` for any method of PEFT, or ``none`` for asides alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from peftir.tuners import adapter, lora, mam, peft_base, peft_method
from peftir.tuners.bottleneck import Bottleneck
from peftir.tuners.config import InsertConfig
from peftir.tuners.errors import TunerError
from peftir.tuners.families import Span
from peftir.tuners.inserts import Insertion
from peftir.tuners.knobs import RANK, Knob, Number
from peftir.tuners.methods import Method
from peftir.tuners.peft_base import PEFT
from peftir.tuners.places import Backbone
from peftir.tuners.tuner import InsertTuner, parameter_counter

ASIDE_RANK = Number("rank a of the aside modules (the paper's ar)", ("budget", "aside_ratio"), int, 1)
ASIDE_RATIO = Number("aside rank over rank, where the aside rank is not given", ("aside_rank",))


class Aside(Bottleneck):
    """``up(gelu(down(x)))`` of the input ``x`` of frozen modules, added to their output."""

    slot = "aside"

    def change(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The bottleneck of ``x``."""
        return self.bottleneck(name, x, y.dtype)


@dataclass(frozen=True)
class Base:
    """A base method: its knobs, a function from knobs to configuration fields, and its insertions."""

    knobs: Mapping[str, Knob]
    settle: Callable[..., dict[str, Any]]
    plan: Callable[[Any, Backbone], Iterable[Insertion]]


BASES = {
    "adapter": Base(adapter.METHOD.knobs, lambda rank: {"rank": rank}, adapter.AdapterTuner.plan),
    "lora": Base(lora.INSIDE, lora.settle, lora.plan),
    "mam": Base(mam.METHOD.knobs, mam.settle, mam.MamTuner.plan),
    PEFT: Base({"config": peft_method.METHOD.knobs["config"]}, dict, lambda config, backbone: ()),
    "none": Base({}, dict, lambda config, backbone: ()),
}


@dataclass
class AsideConfig(InsertConfig):
    """Base class of the configurations of IAA-S, IAA-L and IAA-M.

    Args:
        aside_rank: bottleneck size a of the asides.
        base: the base method: ``adapter``, ``lora``, ``mam``, ``peft`` or ``none``.
        rank: rank r of the base method.
        alpha: with ``lora``, the update is scaled by alpha / rank.
        length: with ``mam``, the prefix length.
        scale: with ``mam``, the factor of the parallel adapter.
        config: with ``peft``, ``peft_type`` and the fields of PEFT's configuration of that type.
    """

    knobs: ClassVar = {
        "aside_rank": ASIDE_RANK,
        "rank": RANK,
        "alpha": lora.ALPHA,
        "length": mam.KNOBS["length"],
        "scale": mam.KNOBS["scale"],
        "config": peft_method.METHOD.knobs["config"],
    }

    aside_rank: int = 12
    base: str = "adapter"
    rank: int | None = None
    alpha: float | None = None
    length: int | None = None
    scale: float | None = None
    config: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check the fields, and that those of the base method are set.

        Raises:
            TunerError: a field is invalid or missing.
        """
        super().__post_init__()
        if self.base not in BASES:
            raise TunerError(f"base: got {self.base!r}, expected one of {', '.join(BASES)}")
        for key in BASES[self.base].knobs:
            if getattr(self, key, True) is None:
                raise TunerError(f"{key}: missing, base {self.base} needs it")
        if self.base == PEFT:
            self.of_base()

    def of_base(self) -> PeftConfig:
        """With ``peft``, the configuration of the base method, with the asides' modules to save."""
        assert self.config is not None
        return peft_base.configuration(self.config, self.modules_to_save)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of the names of trained weights that are not ours."""
        return (peft_base.prefix(self.of_base()),) if self.base == PEFT else ()


class AsideTuner(InsertTuner):
    """Tuner that inserts the base method's modules, and asides parallel to the modules of ``spans``."""

    aside: ClassVar[type[Aside]] = Aside

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Insert the modules of the PEFT adapter ``adapter_name``; those of a base method of PEFT first."""
        config: Any = self.peft_config[adapter_name]
        if config.base == PEFT:
            peft_base.inject(config.of_base(), model, adapter_name, kwargs.get("low_cpu_mem_usage", False))
            # On this tuner alone: what PEFT activates, freezes and deletes are the base's modules, too.
            self.tuner_layer_cls = BaseTunerLayer  # type: ignore[assignment]
        super().inject_adapter(model, adapter_name, *args, **kwargs)

    @staticmethod
    def spans(backbone: Backbone) -> Iterable[Span]:
        """The spans of frozen modules that get a parallel aside."""
        raise NotImplementedError

    @classmethod
    def plan(cls, config: Any, backbone: Backbone) -> Iterable[Insertion]:
        """Yield the insertions of the base method, then the asides; changes are applied in this order."""
        yield from BASES[config.base].plan(config, backbone)
        for entry, place in cls.spans(backbone):
            yield Insertion(place, cls.aside, {"hidden": backbone.hidden, "rank": config.aside_rank}, entry)


def method(
    name: str, summary: str, config: type[AsideConfig], tuner: type[AsideTuner], ratio: float
) -> Method:
    """Return the registry entry of a variant of IAA, with an entry for each base method.

    Args:
        name: the name of the method.
        summary: a one-line description.
        config: the class of its configuration.
        tuner: the class of its tuner.
        ratio: the default ratio of aside rank to rank.
    """

    def with_base(base: str) -> Method:
        def configure(
            backbone: Backbone, aside_rank: int | None = None, aside_ratio: float = ratio, **knobs: Any
        ) -> AsideConfig:
            fields = BASES[base].settle(**knobs)
            if aside_rank is None:
                aside_rank = max(1, round(aside_ratio * fields["rank"]))
            return config(aside_rank=aside_rank, base=base, **fields)

        alone = base == "none"
        asides = (
            {"aside_rank": ASIDE_RANK} if alone else {"aside_rank": ASIDE_RANK, "aside_ratio": ASIDE_RATIO}
        )
        return Method(
            name=name,
            summary=summary,
            reference="Ma et al. 2022, section 5",
            knobs={**BASES[base].knobs, **asides},
            size="aside_rank" if alone else "rank",
            configure=configure,
            count_parameters=parameter_counter(tuner, configure),
        )

    bases = {base: with_base(base) for base in BASES if base != PEFT}
    bases[PEFT] = peft_base.around_peft(bases["none"], config, ASIDE_RATIO, ratio)
    return replace(bases["adapter"], bases={base: bases[base] for base in BASES})
