"""Plots of the loss surface around a model: contours, and a view in perspective."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from peftir.report.learned import Surface
from peftir.report.style import Look
from peftir.report.svg import PAPER, drawing, hue

LEVELS = 9
LABELLED = 0.75  # of the positions, -1 to 1: extent of a contour line with a label
FIRST, SECOND = "first direction (filter norms)", "second direction (filter norms)"


def contours(name: str, surface: Surface, levels: np.ndarray, look: Look, unit: str | None) -> str:
    """Contour lines of the loss; the marker is at the model.

    Args:
        name: the figure's name.
        surface: the loss surface.
        levels: the losses of the contour lines, the same for all variants.
        look: the variant's look.
        unit: of the loss, if it has one.
    """
    with drawing(name, SECOND, FIRST) as figure:
        axes = figure.axes
        inside = [level for level in levels if surface.loss.min() < level < surface.loss.max()]
        positions = surface.positions
        if inside:
            lines = axes.contour(positions, positions, surface.loss, levels=inside, colors=[hue(look)])
            labelled = [
                level for level, path in zip(inside, lines.get_paths(), strict=True) if _is_long(path)
            ]
            axes.clabel(lines, labelled, fmt=lambda level: f"{level:.2g}", fontsize=10)
        else:
            low, high = surface.loss.min(), surface.loss.max()
            text = f"{low:.2g} to {high:.2g}{f' {unit}' if unit else ''}:\nbetween two levels"
            axes.annotate(text, (0, positions[-1] / 2), ha="center", va="center", fontsize=10)
        axes.set(xlim=(positions[0], positions[-1]), ylim=(positions[0], positions[-1]))
        axes.plot([0], [0], marker=look.marker, color=hue(look), linestyle="none")
        axes.set_aspect("equal")
        axes.grid(visible=False)
    return figure.svg


def _is_long(line: Path) -> bool:
    """Whether a contour line is so long that its label is on no other's, and in the figure."""
    extents = line.get_extents()
    return bool(max(extents.width, extents.height) > LABELLED)


def relief(name: str, surface: Surface, levels: np.ndarray, look: Look, unit: str | None) -> str:
    """The surface in perspective, as :func:`contours`; the axis of the loss is the same for all variants."""
    with drawing(name, "second direction", "first direction", projection="3d") as figure:
        axes: Any = figure.axes
        a, b = np.meshgrid(surface.positions, surface.positions, indexing="ij")
        colours: dict[str, Any] = {"color": PAPER, "edgecolor": hue(look), "shade": False}
        axes.plot_surface(b, a, surface.loss, rstride=1, cstride=1, linewidth=1, **colours)
        axes.set_zlim(levels[0], levels[-1])
        axes.set_zlabel(f"loss ({unit})" if unit else "loss")
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_major_locator(MaxNLocator(4))
            axis.set_pane_color((0, 0, 0, 0))
        axes.view_init(elev=25, azim=-60)
    return figure.svg


def common_levels(surfaces: list[Surface]) -> np.ndarray:
    """Geometrically spaced losses from the lowest to the highest of all surfaces.

    With these, flat surfaces have contour lines too.
    """
    losses = np.concatenate([surface.loss.ravel() for surface in surfaces])
    highest = max(losses.max(), 1e-9)  # a batch of one query and no negatives has no loss
    return np.geomspace(max(losses.min(), highest / 1000), highest, LEVELS)
