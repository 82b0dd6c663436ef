"""Checkpoints from which an interrupted training resumes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from peftir.system.files import remove, replacing

SECONDS = 300.0
"""Minimum seconds between two checkpoints: repeating fewer is cheaper than writing all weights more often."""


@dataclass
class Checkpoint:
    """A folder with the state of one training until it ends.

    Attributes:
        folder: the folder.
        identity: a hash of the training's inputs (:func:`peftir.study.identity.identity`); a state with
            another one is ignored.
        every: minimum seconds between two checkpoints.
    """

    folder: Path
    identity: str
    every: float = SECONDS
    _last: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether enough time has passed since the last checkpoint, or since the start."""
        return time.monotonic() - self._last >= self.every

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write the state, replacing an earlier one."""
        with replacing(self.folder) as partial:
            partial.mkdir()
            save_file(
                {k: v.detach().contiguous().clone() for k, v in tensors.items()},
                partial / "state.safetensors",
            )
            (partial / "state.json").write_text(
                json.dumps({"identity": self.identity, **facts}), encoding="utf-8"
            )
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the tensors and facts last saved, or ``None`` if there are none of this training."""
        try:
            facts = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            if facts.pop("identity") != self.identity:
                return None
            return load_file(self.folder / "state.safetensors"), facts
        except (OSError, ValueError, KeyError, SafetensorError):
            return None

    def remove(self) -> None:
        """Remove the state, at the end of the training."""
        remove(self.folder)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, weights: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The optimizer's state, with keys ``<name of the weight>/<name in the state>``."""
    return {
        f"{name}/{key}": value
        for name, weight in weights.items()
        for key, value in optimizer.state[weight].items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, weights: dict[str, nn.Parameter], tensors: dict[str, Tensor]
) -> None:
    """Restore the state returned by :func:`optimizer_tensors`; torch moves each tensor to its device."""
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    positions = {id(weight): position for position, weight in enumerate(parameters)}
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        state.setdefault(positions[id(weights[name])], {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
