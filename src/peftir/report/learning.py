"""The section of the report on learning: its table and its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import LogFormatter, MaxNLocator

from peftir.report import landscapes, sentences
from peftir.report.cells import NONE, Cell, Group, Table, TableRow, count, decimals
from peftir.report.learned import Learned
from peftir.report.study import StageStudy
from peftir.report.style import Look, Looks
from peftir.report.svg import Drawn, drawing, hue, tooltip

NBSP = "\u00a0"
ROUNDING = 1e-6


class PlainLogFormatter(LogFormatter):
    """Labels of a logarithmic axis such as 0.1; matplotlib's own mix 1 and 1e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label at ``x``; empty if matplotlib's is empty."""
        return f"{x:g}" if super().__call__(x, pos) else ""


def table(stage: StageStudy, learned: Learned) -> Table:
    """Convergence and stability of the variants, and their loss surfaces; means over seeds."""
    columns = [
        *(f"steps to {share}{NBSP}%" for share in ("90", "95", "99")),
        f"s to 95{NBSP}%",
        "mean on dev",
        "best on dev",
        "sd of best",
        "loss rises",
        "dev falls",
        f"failed {stage.single}s",
        "sharpness",
        "curvature",
        "roughness",
        "barrier",
    ]

    def cells(figures: dict[str, Any]) -> list[Cell]:
        return [
            *(_reached(figures["steps_to"][share], count, stage) for share in ("0.90", "0.95", "0.99")),
            _reached(figures["seconds_to"]["0.95"], lambda value: decimals(value, 1), stage),
            *(_mean(figures[name], 3) for name in ("auc", "best_dev")),
            _mean([figures["best_dev_sd"]], 3),
            *(_mean(figures[name], 3) for name in ("oscillation", "dev_oscillation")),
            count(figures["failed_seeds"]),
            *(_significant(figures[name]) for name in ("sharpness", "curvature", "roughness")),
            _significant([figures["barrier"]]),
        ]

    rows = [TableRow(name, name, cells(learned.figures[name])) for name in stage.trained]
    return Table(columns, [Group(None, rows)])


def explanation(stage: StageStudy) -> str:
    """The explanation of the table's columns."""
    measure, full = stage.settings.selected_by, stage.reference or "full fine-tuning"
    single = stage.single
    in_unit, unit = (f", in {stage.loss_unit}", f" ({stage.loss_unit})") if stage.loss_unit else ("", "")
    return (
        f"Steps and seconds are those of training until the first evaluation on dev at which {measure} has "
        f"made the given share of the gain of {full}, from its step 0 to its best (means over {single}s). "
        "Mean on dev is the area under the learning curve over the steps, divided by the number of steps. "
        f"Loss rises is the sum of all increases of the training loss between evaluations{in_unit}; dev "
        f"falls is the sum of all decreases of the measure on dev. A {single} has failed if training ends "
        "below its step 0. Sharpness is the largest eigenvalue of the loss’s Hessian over the trained "
        "weights. Curvature is the second derivative along the directions of the surfaces below. Roughness "
        f"is the distance of a surface from a quadratic{unit}. The barrier is the height of the loss on the "
        "straight path from the first seed’s weights to the second’s, above the line between its ends"
        f"{unit}. docs/learning.md describes the computations and their limits."
    )


def drawings(stage: StageStudy, learned: Learned, looks: Looks) -> Iterator[Drawn]:
    """Yield the dev measure by seconds, and the gradient norms by layer and by step."""
    thin_lines = sentences.thin_lines(stage)
    yield Drawn(
        "Learning over time",
        Markup(_over_seconds(stage, learned, looks)),
        f"{stage.settings.selected_by} on dev over the seconds of training, without evaluation.{thin_lines}",
        wide=True,
    )
    layer_of_module = "A module belongs to the layer to whose output it is added."
    yield Drawn(
        "Gradient by layer",
        Markup(_by_layer(stage, learned, looks)),
        "The gradient norm of the trained weights of each layer, before clipping, from the first layer after "
        f"the embeddings to the last before the output; the mean over training. {layer_of_module}",
    )
    yield Drawn(
        "Gradient of the first layer",
        Markup(_first_over_last(stage, learned, looks)),
        "The gradient norm of the first layer’s trained weights divided by the last layer’s, over the "
        "optimizer steps: below 1, modules far from the output get smaller gradients.",
    )


def surfaces(stage: StageStudy, learned: Learned, looks: Looks) -> Iterator[Drawn]:
    """Yield the loss surface around each variant's model, as contours and in perspective."""
    if not learned.surfaces:
        return
    levels = landscapes.common_levels(list(learned.surfaces.values()))
    unit = stage.loss_unit
    in_unit = f", in {unit}," if unit else ""
    for variant, surface in learned.surfaces.items():
        name = f"{stage.task}-{variant}"
        center = f"around {variant}’s model of seed {surface.seed}"
        yield Drawn(
            f"{variant}, from above",
            Markup(landscapes.contours(f"{name}-contours", surface, levels, looks[variant], unit)),
            f"The loss of a fixed batch{in_unit} {center}, along two random filter-normalised directions: a "
            "step of 1 changes every filter of the trained weights by its own norm. The contour levels are "
            "the same for all variants.",
        )
        yield Drawn(
            f"{variant}, from the side",
            Markup(landscapes.relief(f"{name}-relief", surface, levels, looks[variant], unit)),
            f"The same losses {center}, on an axis that is the same for all variants.",
        )


def _over_seconds(stage: StageStudy, learned: Learned, looks: Looks) -> str:
    name, y = f"{stage.task}-dev-seconds", f"{stage.settings.selected_by} on dev (0 to 1)"
    with drawing(name, "seconds of training", y, wide=True) as figure:
        for variant in stage.trained:
            curves = [model.dev for model in stage.models[variant]]
            runs = list(zip(learned.seconds[variant], curves, strict=True))
            colour = hue(looks[variant])
            if len(runs) > 1:
                for seconds, dev in runs:
                    figure.axes.plot(seconds, dev, color=colour, linewidth=0.9, alpha=0.4)
            seconds = pd.concat([seconds for seconds, _ in runs], axis=1).mean(axis=1)
            _line(figure.axes, variant, seconds, pd.concat(curves, axis=1).mean(axis=1), looks[variant])
    return figure.svg


def _by_layer(stage: StageStudy, learned: Learned, looks: Looks) -> str:
    with drawing(f"{stage.task}-gradients", "layer", "gradient norm (log scale)") as figure:
        for variant, norms in learned.gradients.items():
            _line(figure.axes, variant, norms.columns + 1, norms.mean(), looks[variant])
        figure.axes.set_yscale("log")
        for formats in (figure.axes.yaxis.set_major_formatter, figure.axes.yaxis.set_minor_formatter):
            formats(PlainLogFormatter(minor_thresholds=(1.5, 0.5)))
        figure.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure.svg


def _first_over_last(stage: StageStudy, learned: Learned, looks: Looks) -> str:
    y = "first layer’s gradient / last layer’s"
    with drawing(f"{stage.task}-gradient-ratio", "optimizer steps", y) as figure:
        for variant, norms in learned.gradients.items():
            last = norms.iloc[:, -1]
            ratio = (norms.iloc[:, 0] / last).where(last > 0)
            steps = stage.models[variant][0].dev.index[1:]  # there is no gradient at step 0
            _line(figure.axes, variant, steps, ratio, looks[variant])
        figure.axes.ticklabel_format(axis="y", useOffset=False)
        figure.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure.svg


def _line(axes: Any, variant: str, x: Any, y: Any, look: Look) -> None:
    every = max(1, len(y) // 8)
    marked = {"marker": look.marker, "markevery": every, "markersize": 5}
    axes.plot(x, y, color=hue(look), zorder=3, gid=tooltip(variant), **marked)


def _reached(values: list[float | None], show: Callable[[float], Cell], stage: StageStudy) -> Cell:
    """The mean over the models that reached a level, and their number if not all did."""
    reached = [value for value in values if value is not None]
    if not reached:
        return Cell("never", np.inf, quiet=True)
    shown = show(mean(reached))
    if len(reached) == len(values):
        return shown
    return Cell(f"{shown.text} ({len(reached)} of {len(values)} {stage.single}s)", shown.value)


def _mean(values: list[float | None], places: int) -> Cell:
    known = [value for value in values if value is not None]
    return decimals(mean(known), places) if known else NONE


def _significant(values: list[float | None]) -> Cell:
    """The mean with two significant digits, for quantities that differ by orders of magnitude.

    Losses are float32: values below ``ROUNDING`` are rounding errors and shown as 0.
    """
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    if abs(mean(known)) < ROUNDING:
        return Cell("0", mean(known))
    shown = np.format_float_positional(float(f"{mean(known):.2g}"), trim="-")
    return Cell(shown.replace("-", "−"), mean(known))
