"""Trained modules that are inserted into a frozen encoder.

PEFT's own tuners replace a module by a wrapper. Ours add a small submodule to it, which a forward hook calls.
So no name in the model changes: nested modules can be changed, tuners of different types can share a
backbone, the backbone's own checkpoint still loads, and a whole layer or the stack of layers can be changed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

PREFIX = "tuned_"
"""The prefix of the names of all trained weights, by which PEFT and transformers find them on load."""


class Insert(nn.Module, BaseTunerLayer):
    """A trained submodule called ``slot`` of a frozen module, its place, with weights for each PEFT adapter.

    It spans the frozen modules from its entry to its place: it reads the input of the entry, and adds to the
    output of the place. Entry and place are usually the same module.

    Subclasses list their weights in ``adapter_layer_names`` (with ``PREFIX``, each a dictionary by adapter
    name), create them in ``create``, count them in ``count_parameters`` and apply them in ``change``.
    """

    slot: ClassVar[str]
    mixes: ClassVar[bool] = True
    """Whether the texts of one batch can have different adapters."""

    def __init__(self) -> None:
        super().__init__()
        self._disable_adapters = False
        self._active_adapter: str | list[str] = []
        self.merged_adapters: list[str] = []
        self._handles: list[Any] = []
        # By thread: two threads that share a model must not read each other's inputs.
        self._entered: dict[int, torch.Tensor] | None = None
        self.mixed: list[str] | None = None
        """The PEFT adapter of each row of the batch, instead of the active ones."""

    @property
    def weight(self) -> torch.Tensor:
        """Raise ``AttributeError``: PEFT's own property would return a wrapped module's."""
        raise AttributeError("weight")

    @property
    def bias(self) -> torch.Tensor:
        """Raise ``AttributeError``, like ``weight``."""
        raise AttributeError("bias")

    def create(self, name: str, *args: Any, **sizes: Any) -> None:
        """Create the weights of the PEFT adapter ``name``."""
        raise NotImplementedError

    @staticmethod
    def count_parameters(*args: Any, **sizes: Any) -> int:
        """The number of parameters that ``create`` adds with these sizes, including biases."""
        raise NotImplementedError

    def change(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the change that the PEFT adapter ``name`` adds to the place's output.

        Args:
            name: the PEFT adapter.
            x: the input of the entry.
            y: the output of the place; the change has its precision and shape.
        """
        raise NotImplementedError

    def weights(self, name: str) -> Iterator[nn.Parameter]:
        """The weights of the PEFT adapter ``name``."""
        for kind in self.adapter_layer_names:
            part = getattr(self, kind)[name]
            yield from [part] if isinstance(part, nn.Parameter) else part.parameters()

    def move(self, name: str, like: torch.Tensor | None) -> None:
        """Move the weights of the PEFT adapter ``name`` to the device and precision of ``like``."""
        for weight in self.weights(name):
            # Meta tensors cannot be moved; PEFT's low_cpu_mem_usage fills them from the file.
            if like is not None and not like.is_meta and not weight.is_meta:
                weight.data = weight.data.to(device=like.device, dtype=like.dtype)

    @property
    def running(self) -> list[str]:
        """The names of this module's PEFT adapters that are enabled."""
        if self._disable_adapters:
            return []
        weights = getattr(self, self.adapter_layer_names[0])
        names = self.active_adapters if self.mixed is None else dict.fromkeys(self.mixed)
        return [name for name in names if name in weights]

    def attach(self, place: nn.Module, entry: nn.Module) -> None:
        """Insert this module into ``place``, with a span from ``entry``."""
        place.add_module(self.slot, self)
        self._handles = [place.register_forward_hook(self._leave, with_kwargs=True)]
        if entry is not place:
            self._entered = {}
            self._handles.append(entry.register_forward_pre_hook(self._enter, with_kwargs=True))

    def detach(self, place: nn.Module) -> None:
        """Undo ``attach``."""
        for handle in self._handles:
            handle.remove()
        delattr(place, self.slot)

    def _enter(self, entry: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.running:
            assert self._entered is not None
            self._entered[_thread()] = _input(args, kwargs)

    def _leave(self, place: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if not self.running:
            return output
        x = _input(args, kwargs) if self._entered is None else self._entered.pop(_thread())
        if isinstance(output, torch.Tensor):
            return self._changed(x, output)
        # Attention modules return (output, attention weights).
        return (self._changed(x, output[0]), *output[1:])

    def _changed(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        changed = y
        for name in self.running:
            if self.mixed is None:
                changed = changed + self.change(name, x, y)
            else:
                indices = [row for row, adapter in enumerate(self.mixed) if adapter == name]
                rows = torch.tensor(indices, device=y.device)
                changed = changed.index_add(0, rows, self.change(name, x[rows], y[rows]))
        return changed


@dataclass(frozen=True)
class Insertion:
    """One insertion of a method's plan.

    Attributes:
        place: the name of the module whose output is changed.
        module: the class of the inserted module.
        sizes: the arguments of ``create`` and ``count_parameters``.
        entry: the name of the module whose input it reads, if not ``place``; empty for the model.
    """

    place: str
    module: type[Insert]
    sizes: Mapping[str, Any] = field(default_factory=dict)
    entry: str | None = None

    @property
    def weights(self) -> int:
        """The number of parameters that it adds, including biases."""
        return self.module.count_parameters(**self.sizes)


def _input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """The hidden states among the arguments of a transformers module."""
    return args[0] if args else kwargs["hidden_states"]


def _thread() -> int:
    return 0 if torch.compiler.is_compiling() else threading.get_ident()
