"""Read the analysis of learning of one stage, for the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.seeds import Seed
from peftir.study.seeds import seed as from_text
from peftir.study.tasks import StageName


@dataclass(frozen=True)
class Surface:
    """The loss around one model, ``[points, points]``; the model is at position 0."""

    seed: Seed
    positions: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Learned:
    """The analysis of one stage: each field by trained variant."""

    figures: dict[str, dict[str, Any]]
    """As in ``metrics/learning.json``."""
    surfaces: dict[str, Surface]
    """Surfaces of the first seed's models; empty if none was computed."""
    seconds: dict[str, list[pd.Series]]
    """Seconds of training up to each point, by step; one curve per model."""
    gradients: dict[str, pd.DataFrame]
    """Mean gradient norms over models, one line per point of the learning curve and one column per layer."""


def read_learned(root: Path, stage: StageName, variants: list[str], seeds: list[Seed]) -> Learned | None:
    """Read the analysis of ``variants`` at ``stage``; ``None`` if it has not run.

    Raises:
        PeftirError: an artefact is missing or malformed.
    """
    if not (root / layout.LEARNING).exists():
        return None
    learning, surfaces = (Artefact(root, path, "learning") for path in (layout.LEARNING, layout.SURFACES))
    figures, around = learning.json(), surfaces.json()
    positions = np.linspace(-1, 1, int(surfaces.number(around, "points"))) * surfaces.number(around, "span")
    found = {}
    for variant in variants:
        for seed, loss in list(surfaces.get(around, stage, variant, "loss").items())[:1]:
            found[variant] = Surface(from_text(seed), positions, np.array(loss))
    return Learned(
        figures={variant: learning.get(figures, stage, variant) for variant in variants},
        surfaces=found,
        seconds={v: [_seconds(root, stage, v, seed) for seed in seeds] for v in variants},
        gradients={
            v: pd.concat([_gradients(root, stage, v, seed) for seed in seeds]).groupby(level=0).mean()
            for v in variants
        },
    )


def _seconds(root: Path, stage: StageName, variant: str, seed: Seed) -> pd.Series:
    artefact = Artefact(root, layout.resources(f"train_{stage}", variant, seed), f"train_{stage}")
    seconds = artefact.get(artefact.json(), "seconds_at")
    return pd.Series({int(step): float(value) for step, value in seconds.items()})


def _gradients(root: Path, stage: StageName, variant: str, seed: Seed) -> pd.DataFrame:
    """The gradient norm of each layer, over all its modules; modules outside the layers are left out."""
    artefact = Artefact(root, layout.training(stage, variant, seed), f"train_{stage}")
    squares: dict[int, np.ndarray] = {}
    for module in artefact.get(artefact.json(), "gradients").values():
        if module["layer"] is not None:
            square = np.array(module["norms"]) ** 2
            squares[module["layer"]] = squares.get(module["layer"], 0) + square
    return pd.DataFrame(squares).sort_index(axis=1) ** 0.5
