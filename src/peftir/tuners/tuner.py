"""The PEFT tuner of our methods, which applies a plan of insertions, and its registration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from peft import PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.other import ModulesToSaveWrapper
from torch import nn

from peftir.tuners.config import InsertConfig, TunerType
from peftir.tuners.errors import TunerError
from peftir.tuners.inserts import PREFIX, Insert, Insertion
from peftir.tuners.loading import load_pretrained_model, received
from peftir.tuners.places import WRAPPED, Backbone

BASE = "__base__"
"""PEFT's name for the backbone without an adapter, in ``adapter_names``."""


class InsertTuner(BaseTuner):
    """A PEFT tuner that applies the insertions returned by ``plan``, which subclasses implement."""

    prefix = PREFIX
    tuner_layer_cls = Insert
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 (PEFT declares it so)

    @staticmethod
    def plan(config: Any, backbone: Backbone) -> Iterable[Insertion]:
        """The insertions of the method.

        Raises:
            TunerError: the family of the backbone does not support the method.
        """
        raise NotImplementedError

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: dict) -> PeftConfig:
        return peft_config

    def _prepare_model(self, peft_config: Any, model: nn.Module) -> None:
        backbone = Backbone.of(model)
        if peft_config.modules_to_save is None and backbone.head:
            peft_config.modules_to_save = backbone.head
        self._plan: dict[str, list[Insertion]] = {}
        for insertion in self.plan(peft_config, backbone):
            self._plan.setdefault(insertion.place, []).append(insertion)
        # On this model alone: transformers looks the function up on the model when it loads an adapter.
        model.__dict__["_load_pretrained_model"] = load_pretrained_model

    # PEFT's method is static and reads the configuration, but is always called on the tuner.
    def _check_target_module_exists(self, peft_config: PeftConfig, key: str) -> bool:  # type: ignore[override]
        return key in self._plan

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        # A dropout has no weights that determine device and precision, but its parent has.
        near = [parameter for module in (target, parent) for parameter in module.parameters()]
        like: torch.Tensor | None = next((p for p in near if p.is_floating_point()), None)
        if like is None and near:  # packed in 4 bits
            like = torch.empty(0, dtype=torch.float32, device=near[0].device)
        for insertion in self._plan[current_key]:
            insert = getattr(target, insertion.module.slot, None)
            if insert is None:
                insert = insertion.module()
                entry = current_key if insertion.entry is None else insertion.entry
                insert.attach(target, self.model.get_submodule(entry))
            insert.create(adapter_name, **insertion.sizes)
            insert.move(adapter_name, like)
            if adapter_name in self.active_adapters:
                insert.set_adapter(self.active_adapters, inference_mode=peft_config.inference_mode)

    @contextmanager
    def _enable_peft_forward_hooks(
        self, *args: Any, adapter_names: list[str] | None = None, **kwargs: Any
    ) -> Iterator[None]:
        """Apply ``adapter_names``, an argument of ``PeftModel``: the adapter of each text of a batch."""
        if adapter_names is None:
            yield
            return
        self._check_mixture(adapter_names, (*args, *kwargs.values()))
        with ExitStack() as afterwards:
            for module in self.modules():
                if isinstance(module, Insert):
                    afterwards.callback(setattr, module, "mixed", None)
                    module.mixed = adapter_names
                elif isinstance(module, ModulesToSaveWrapper):  # a head; PEFT applies adapter_names to it
                    hook = partial(_with_adapter_names, adapter_names)
                    afterwards.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
            yield

    def _check_mixture(self, names: list[str], inputs: tuple[Any, ...]) -> None:
        known = [*self.peft_config, BASE]
        if unknown := [name for name in names if name not in known]:
            raise TunerError(f"adapter_names: got {unknown[0]!r}, expected names of {', '.join(known)}")
        texts = next(len(each) for each in inputs if isinstance(each, torch.Tensor))
        if len(names) != texts:
            raise TunerError(f"adapter_names: got {len(names)} for {texts} texts, expected one for each")
        if self.training:
            raise TunerError("adapter_names: got a model in training mode, expected model.eval() before")
        if any(getattr(config, "prefixes", ()) for config in self.peft_config.values()):
            raise TunerError(
                f"adapter_names: got a model with {type(self).__name__} around a method of PEFT, which "
                "cannot mix adapters; use set_adapter and a batch for each adapter"
            )
        if not all(module.mixes for module in self.modules() if isinstance(module, Insert)):
            raise TunerError(
                f"adapter_names: got a model with {type(self).__name__}, but its prefixes may differ in "
                "length, and the keys of one batch may not; use set_adapter and a batch for each adapter"
            )

    @classmethod
    def _get_adapter_state_dict(
        cls, model: nn.Module, config: Any, *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """The weights to save, with the names that they have without wrappers of PEFT."""
        weights = super()._get_adapter_state_dict(model, config, *args, **kwargs)
        trained = tuple(f".{prefix}" for prefix in (PREFIX, *config.prefixes))
        return {
            name.replace(f".{WRAPPED}.", "."): weight
            for name, weight in weights.items()
            if any(prefix in name for prefix in trained)
        }

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: Any, adapter_name: str, state_dict: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Map the weights of a file to their names in the model; missing or unknown ones are an error."""
        weights = super()._remap_adapter_state_dict_for_load(model, config, adapter_name, state_dict)
        return received(model, adapter_name, weights)

    def _check_merge_allowed(self) -> None:
        raise TunerError(
            f"{type(self).__name__}: cannot be merged into the backbone, its modules are not a change of the "
            "backbone's own weights; leave it attached, or use lora"
        )

    def _unload_and_optionally_merge(self, merge: bool = True, **kwargs: Any) -> Any:  # type: ignore[override]
        if merge:
            self._check_merge_allowed()
        self.model.__dict__.pop("_load_pretrained_model", None)
        for place in list(self.model.modules()):
            for child in list(place.children()):
                if isinstance(child, Insert):
                    child.detach(place)
        return super()._unload_and_optionally_merge(merge=False, **kwargs)


def _with_adapter_names(
    names: list[str], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs | {"adapter_names": names}


def register(config: type[InsertConfig], tuner: type[InsertTuner]) -> None:
    """Register a method with PEFT, like ``peft.utils.register_peft_method`` for names in PEFT's enum."""
    name: Any = TunerType(config.tuner_type)
    PEFT_TYPE_TO_CONFIG_MAPPING[name] = config
    PEFT_TYPE_TO_TUNER_MAPPING[name] = tuner
    PEFT_TYPE_TO_PREFIX_MAPPING[name] = PREFIX


def parameter_counter(tuner: type[InsertTuner], configure: Callable[..., InsertConfig]) -> Callable[..., int]:
    """Return ``count_parameters(backbone, **knobs)``, which counts the parameters of the tuner's plan."""

    def count_parameters(backbone: Backbone, **knobs: Any) -> int:
        return sum(insertion.weights for insertion in tuner.plan(configure(backbone, **knobs), backbone))

    return count_parameters
