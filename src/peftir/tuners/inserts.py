"""Trained modules that are put into places of a frozen encoder.

PEFT's own tuners replace a module by a wrapper around it. Ours hang a small module into the place instead
and let a forward hook call it. So no name in the model changes: places inside places, several tuners of
different types on one backbone and the backbone's own checkpoint all keep working, and a whole encoder
layer or the stack of layers is a place like any other.
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
"""What the names of all trained weights begin with: PEFT and transformers find them by it on load."""


class Insert(nn.Module, BaseTunerLayer):
    """A trained module that hangs in a place under the name ``slot``, with weights for each PEFT adapter.

    It spans the frozen modules from its entry to its place: it sees the hidden states that go into the
    entry, and adds to what comes out of the place. Most often the two are the same module.

    Subclasses name their weights in ``adapter_layer_names`` (beginning with ``PREFIX``, one dictionary by
    adapter name each), make them in ``create``, count them in ``weigh`` and use them in ``change``.
    """

    slot: ClassVar[str]
    mixes: ClassVar[bool] = True
    """Whether the texts of one batch may have different adapters."""

    def __init__(self) -> None:
        super().__init__()
        self._disable_adapters = False
        self._active_adapter: str | list[str] = []
        self.merged_adapters: list[str] = []
        self._handles: list[Any] = []
        # By thread: two threads that share a model must not see each other's texts.
        self._entered: dict[int, torch.Tensor] | None = None
        self.mixed: list[str] | None = None
        """For each row of the batch its PEFT adapter, in place of the active ones."""

    @property
    def weight(self) -> torch.Tensor:
        """There is none: PEFT's own property would look for a wrapped module's."""
        raise AttributeError("weight")

    @property
    def bias(self) -> torch.Tensor:
        """There is none, as with ``weight``."""
        raise AttributeError("bias")

    def create(self, name: str, *args: Any, **sizes: Any) -> None:
        """Make the weights of the PEFT adapter ``name``."""
        raise NotImplementedError

    @staticmethod
    def weigh(*args: Any, **sizes: Any) -> int:
        """How many weights ``create`` makes with these sizes, biases included."""
        raise NotImplementedError

    def change(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What the PEFT adapter ``name`` adds to the place's output.

        Args:
            name: the PEFT adapter.
            x: what went into the entry.
            y: what came out of the place itself; the change has its precision and its shape.
        """
        raise NotImplementedError

    def weights(self, name: str) -> Iterator[nn.Parameter]:
        """The weights of the PEFT adapter ``name``."""
        for kind in self.adapter_layer_names:
            held = getattr(self, kind)[name]
            yield from [held] if isinstance(held, nn.Parameter) else held.parameters()

    def move(self, name: str, like: torch.Tensor | None) -> None:
        """Give the weights of the PEFT adapter ``name`` the device and precision of ``like``."""
        for weight in self.weights(name):
            # Nothing on the meta device can be moved; PEFT's low_cpu_mem_usage fills it from the file.
            if like is not None and not like.is_meta and not weight.is_meta:
                weight.data = weight.data.to(device=like.device, dtype=like.dtype)

    @property
    def running(self) -> list[str]:
        """The names of the PEFT adapters of this module that are switched on."""
        if self._disable_adapters:
            return []
        weights = getattr(self, self.adapter_layer_names[0])
        names = self.active_adapters if self.mixed is None else dict.fromkeys(self.mixed)
        return [name for name in names if name in weights]

    def hang(self, place: nn.Module, entry: nn.Module) -> None:
        """Make this module a part of ``place``, spanning from ``entry``."""
        place.add_module(self.slot, self)
        self._handles = [place.register_forward_hook(self._leave, with_kwargs=True)]
        if entry is not place:
            self._entered = {}
            self._handles.append(entry.register_forward_pre_hook(self._enter, with_kwargs=True))

    def take_down(self, place: nn.Module) -> None:
        """Undo ``hang``."""
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
        # Attention modules give (output, attention weights).
        return (self._changed(x, output[0]), *output[1:])

    def _changed(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        changed = y
        for name in self.running:
            if self.mixed is None:
                changed = changed + self.change(name, x, y)
            else:
                own = [row for row, other in enumerate(self.mixed) if other == name]
                rows = torch.tensor(own, device=y.device)
                changed = changed.index_add(0, rows, self.change(name, x[rows], y[rows]))
        return changed


@dataclass(frozen=True)
class Insertion:
    """One line of a method's plan: a ``module`` of the given sizes goes into the place ``place``.

    Attributes:
        place: the name of the module whose output is changed.
        module: what goes there.
        sizes: what ``create`` and ``weigh`` of the module take.
        entry: the name of the module whose input it sees, where that is not ``place``; empty for the model.
    """

    place: str
    module: type[Insert]
    sizes: Mapping[str, Any] = field(default_factory=dict)
    entry: str | None = None

    @property
    def weights(self) -> int:
        """How many weights it brings, biases included."""
        return self.module.weigh(**self.sizes)


def _input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """The hidden states among the arguments of a transformers module."""
    return args[0] if args else kwargs["hidden_states"]


def _thread() -> int:
    return 0 if torch.compiler.is_compiling() else threading.get_ident()
