"""Where an unfinished training goes on from after a kill."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from peftir.system.files import remove, replacing

SECONDS = 300.0
"""Least time between two checkpoints: to redo less than that is cheaper than writing all weights often."""


@dataclass
class Checkpoint:
    """A folder that holds the state of one training until it ends.

    Attributes:
        folder: where the state lies.
        identity: names all that the training's result depends on; another one's state is not used.
        every: least seconds between two checkpoints.
    """

    folder: Path
    identity: str
    every: float = SECONDS
    _last: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether enough time has passed since the last checkpoint, or since the start."""
        return time.monotonic() - self._last >= self.every

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write the state, in place of an earlier one."""
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
        """The tensors and facts last saved, or None if there are none of this training."""
        try:
            facts = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            if facts.pop("identity") != self.identity:
                return None
            return load_file(self.folder / "state.safetensors"), facts
        except (OSError, ValueError, KeyError, SafetensorError):
            return None

    def remove(self) -> None:
        """Remove the state: the training has ended."""
        remove(self.folder)


def identity(*facts: Any, files: Iterable[Path]) -> str:
    """A hash of ``facts``, of the content of ``files``, and of the code and libraries that train."""
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in [*files, *sorted(Path(__file__).parent.rglob("*.py"))]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for library in ("torch", "transformers", "peft", "sentence-transformers"):
        digest.update(version(library).encode())
    return digest.hexdigest()


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, weights: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The optimizer's state as ``<name of the weight>/<name in the state>``."""
    return {
        f"{name}/{key}": value
        for name, weight in weights.items()
        for key, value in optimizer.state[weight].items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, weights: dict[str, nn.Parameter], tensors: dict[str, Tensor]
) -> None:
    """Put back what :func:`optimizer_tensors` gave."""
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        place = value if key == "step" else value.to(weights[name].device)
        optimizer.state[weights[name]][key] = place


def random_state() -> dict[str, Tensor]:
    """The state of torch's random generators."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore_random(state: dict[str, Tensor]) -> None:
    """Put back what :func:`random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
