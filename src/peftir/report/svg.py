"""Matplotlib figures as inline SVG with text in the page's font and its light and dark colours."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from peftir.report.style import BY_DAY, Look

# Placeholders for the page's CSS colours, which matplotlib does not accept.
INK, GRID, PAPER = "#010101", "#020202", "#030303"
HUES = tuple(f"#0400{i:02x}" for i in range(len(BY_DAY)))
_PAGE = {INK: "var(--ink-soft)", GRID: "var(--rule)", PAPER: "var(--paper)"} | {
    hue: f"var(--hue-{i})" for i, hue in enumerate(HUES)
}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelpad": 6,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "lines.markeredgewidth": 1.2,
}
_DEFAULTS: dict[str, Any] = {
    key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"
}
_POINTS = 72  # SVG units per inch
_SIZE, _WIDE = (420, 290), (760, 380)  # in these units
_TOOLTIP = "tooltip "


class Drawing:
    """Axes to draw on, and the resulting SVG, which is empty until the block of :func:`drawing` ends."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


@dataclass(frozen=True)
class Drawn:
    """A figure with its title and caption."""

    title: str
    svg: Markup
    caption: str
    wide: bool = False
    """Whether it takes the whole width of the page."""


@contextmanager
def drawing(
    name: str, x: str, y: str, projection: str | None = None, wide: bool = False
) -> Iterator[Drawing]:
    """A context with axes to draw on; the ``svg`` is available after it.

    Args:
        name: the figure's name, which makes its ids unique in the page.
        x: the label of the horizontal axis, with its unit.
        y: the label of the vertical axis, with its unit.
        projection: matplotlib's name of the projection; ``3d`` for a surface.
        wide: for the whole width of the page.
    """
    style: Any = {**_DEFAULTS, **_STYLE, "svg.hashsalt": name}
    with matplotlib.rc_context(style):
        width, height = _WIDE if wide else _SIZE
        figure = Figure(figsize=(width / _POINTS, height / _POINTS), layout="constrained")
        result = Drawing(figure.subplots(subplot_kw={"projection": projection}))
        result.axes.set_xlabel(x)
        result.axes.set_ylabel(y)
        result.axes.grid(axis="x", visible=False)
        yield result
        buffer = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    result.svg = _for_the_page(buffer.getvalue(), f"{y} against {x}")


def hue(look: Look) -> str:
    """The colour to give matplotlib for ``look``."""
    return HUES[look.hue]


def tooltip(text: str) -> str:
    """The group id (``gid``) to give an artist so that ``text`` is shown where the pointer is on it."""
    return _TOOLTIP + text


def _for_the_page(svg: str, label: str) -> str:
    """Reduce ``svg`` to the ``<svg>`` element, without unused ids, fonts and size."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(rf'<g id="{_TOOLTIP}([^"]*)">', r"<g><title>\1</title>", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"#0[1-4][0-9a-f]{4}\b", lambda match: _PAGE.get(match[0], match[0]), svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None, "matplotlib writes a viewBox for every figure"
    start = f'<svg {box[0]} role="img" aria-label="{html.escape(label)}">'
    return re.sub(r"<svg[^>]*>", lambda match: start, svg, count=1)
