"""The loss around a model: as lines of equal loss, and as a surface seen from the side."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from peftir.report.learned import Surface
from peftir.report.style import Look
from peftir.report.svg import PAPER, drawing, hue

LEVELS = 9
FIRST, SECOND = "first direction (filter norms)", "second direction (filter norms)"


def contours(name: str, surface: Surface, levels: np.ndarray, look: Look) -> str:
    """Lines of equal loss, with their losses in nats; the mark is the model.

    Args:
        name: of the figure.
        surface: what is drawn.
        levels: the losses that lines are drawn at, the same for all variants.
        look: of the variant.
    """
    with drawing(name, SECOND, FIRST) as figure:
        axes = figure.axes
        inside = [level for level in levels if surface.loss.min() < level < surface.loss.max()]
        where = surface.positions
        if inside:
            lines = axes.contour(where, where, surface.loss, levels=inside, colors=[hue(look)])
            axes.clabel(lines, fmt=lambda level: f"{level:.2g}", fontsize=10)
        else:
            low, high = surface.loss.min(), surface.loss.max()
            told = f"{low:.2g} to {high:.2g} nats:\nbetween two levels"
            axes.annotate(told, (0, where[-1] / 2), ha="center", va="center", fontsize=10)
        axes.set(xlim=(where[0], where[-1]), ylim=(where[0], where[-1]))
        axes.plot([0], [0], marker=look.marker, color=hue(look), linestyle="none")
        axes.set_aspect("equal")
        axes.grid(visible=False)
    return figure.svg


def relief(name: str, surface: Surface, levels: np.ndarray, look: Look) -> str:
    """The surface seen from the side; the axis of the loss is the same for all variants."""
    with drawing(name, "second direction", "first direction", projection="3d") as figure:
        axes: Any = figure.axes
        a, b = np.meshgrid(surface.positions, surface.positions, indexing="ij")
        colours: dict[str, Any] = {"color": PAPER, "edgecolor": hue(look), "shade": False}
        axes.plot_surface(b, a, surface.loss, rstride=1, cstride=1, linewidth=1, **colours)
        axes.set_zlim(levels[0], levels[-1])
        axes.set_zlabel("loss (nats)")
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_major_locator(MaxNLocator(4))
            axis.set_pane_color((0, 0, 0, 0))
        axes.view_init(elev=25, azim=-60)
    return figure.svg


def common_levels(surfaces: list[Surface]) -> np.ndarray:
    """Losses from the lowest to the highest of all surfaces, each the same multiple of the one before.

    So a flat surface has lines beside a steep one.
    """
    losses = np.concatenate([surface.loss.ravel() for surface in surfaces])
    highest = max(losses.max(), 1e-9)  # a batch of one query and no negatives has no loss
    return np.geomspace(max(losses.min(), highest / 1000), highest, LEVELS)
