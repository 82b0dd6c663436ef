"""What the steps of a training cost: memory by what it holds, and what was read and computed.

Memory of weights, gradients and the optimizer's state follows from the tensors. What a step takes beyond them
is known only on a GPU, where torch counts what it has allocated; it is mostly activations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from peftir.models.precision import device
from peftir.models.sides import untouched_of
from peftir.training.distributed import all_reduce

MIB = 2**20


@dataclass(frozen=True)
class StepMemory:
    """The memory of a training step, in bytes.

    Attributes:
        weights: of the model, frozen ones and buffers included.
        gradients: of the trained weights that the loss depends on.
        optimizer: the optimizer's state.
        best_step: the copy of the best step's trained weights.
        activations: what the peak has beyond these; None without a GPU.
    """

    weights: int
    gradients: int
    optimizer: int
    best_step: int
    activations: int | None

    def figures(self) -> dict[str, float | None]:
        """The parts in MiB, by name."""
        return {name: None if count is None else round(count / MIB, 1) for name, count in vars(self).items()}


class TextsRead(NamedTuple):
    """The texts that a model read in all processes, without padding; one that is encoded twice counts once.

    Attributes:
        tokens: the number of their tokens.
        squares: the sum of their squared lengths, in tokens.
    """

    tokens: int
    squares: int


@dataclass(frozen=True)
class Costs:
    """The costs of a training's steps, without evaluation on dev.

    Attributes:
        memory: of a step, in this process.
        trained: the texts of the tuned sides.
        untouched: the texts of a side that no method changes.
        seconds: of the steps in which these were read.
    """

    memory: StepMemory
    trained: TextsRead
    untouched: TextsRead
    seconds: float


class StepMeter:
    """Measures the training steps of a model: its tokens, and on a GPU the peak of the allocated memory."""

    def __init__(self) -> None:
        self.peak: int | None = None
        """Bytes allocated at the peak of a step; None without a GPU."""
        # Tokens, and lengths squared: of passes with a gradient, and of an untouched side.
        self._read = torch.zeros(2, 2, dtype=torch.int64, device=device())
        self._in_step = self._untouched = False

    @contextmanager
    def counting(self, model: nn.Module) -> Iterator[None]:
        """A context in which the tokens that ``model`` reads with a gradient are counted.

        Passes without a gradient are evaluations, or first passes of gradient caching. A side that no method
        changes has no others, so those inside of steps are counted.
        """
        self._untouched = untouched_of(model) is not None
        hook = model.register_forward_pre_hook(self._count, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def step(self) -> Iterator[None]:
        """A context around one step."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._in_step = True
        yield
        self._in_step = False
        if torch.cuda.is_available():
            self.peak = max(self.peak or 0, torch.cuda.max_memory_allocated())

    def read(self) -> tuple[TextsRead, TextsRead]:
        """The texts read in all processes: by tuned sides, and by an untouched one."""
        trained, untouched = all_reduce(self._read).tolist()
        return TextsRead(*trained), TextsRead(*untouched)

    def _count(self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        untouched = self._untouched and self._in_step and named.get("task") == "document"
        if not (torch.is_grad_enabled() or untouched) or not inputs or not isinstance(inputs[0], Mapping):
            return
        mask = inputs[0].get("attention_mask")
        if mask is None:
            return
        lengths = mask.sum(dim=1)
        self._read[int(untouched)] += torch.stack([lengths.sum(), (lengths**2).sum()])


def step_memory(
    model: nn.Module, optimizer: torch.optim.Optimizer, best: Iterable[Tensor], peak: int | None
) -> StepMemory:
    """The memory of a step of ``model``.

    Args:
        optimizer: after its first step, so that it has a state.
        best: the copies of the trained weights of the best step.
        peak: of the allocated memory; None if unknown.
    """
    states = (value for state in optimizer.state.values() for value in state.values())
    known = {
        "weights": _bytes([*model.parameters(), *model.buffers()]),
        "gradients": _bytes(optimizer.state),  # of weights that have had one
        "optimizer": _bytes(value for value in states if isinstance(value, Tensor)),
        "best_step": _bytes(best),
    }
    return StepMemory(**known, activations=None if peak is None else max(0, peak - sum(known.values())))


def _bytes(tensors: Iterable[Tensor]) -> int:
    """The bytes of ``tensors``; those that share their memory, as frozen weights of two sides, count once."""
    sizes = {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}
    return sum(sizes.values())
