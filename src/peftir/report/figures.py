"""The figures of the report: learning curves, effectiveness by trained weights, interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from peftir.report.study import ModelRecord, StageStudy
from peftir.report.style import Look, Looks
from peftir.report.svg import INK, PAPER, drawing, hue, tooltip
from peftir.statistics.comparisons import Spread


def dev_curves(stage: StageStudy, looks: Looks) -> str:
    """The dev measure by step, one line per variant; filled markers are at the selected steps."""
    y = f"{stage.settings.selected_by} on dev (0 to 1)"
    with drawing(f"{stage.task}-dev", "optimizer steps", y, wide=True) as figure:
        for variant in stage.trained:
            _curves(figure.axes, variant, stage.models[variant], lambda model: model.dev, looks[variant])
            for model in stage.models[variant]:
                best = model.dev[model.best_step]
                label = f"{variant}, seed {model.seed}: {best:.3f} at step {model.best_step:,}, kept"
                _mark(figure.axes, model.best_step, best, looks[variant], label)
        _over_steps(figure.axes, stage.settings.steps)
    return figure.svg


def loss_curves(stage: StageStudy, looks: Looks) -> str:
    """The training loss by step, one line per variant."""
    y = "training loss" + (f" ({stage.loss_unit})" if stage.loss_unit else "")
    with drawing(f"{stage.task}-loss", "optimizer steps", y, wide=True) as figure:
        for variant in stage.trained:
            _curves(figure.axes, variant, stage.models[variant], lambda model: model.loss, looks[variant])
        _over_steps(figure.axes, stage.settings.steps)
    return figure.svg


def trade_off(stage: StageStudy, looks: Looks) -> str:
    """The test measure by number of trained weights; hollow markers are re-rankers without interpolation."""
    label = "weights trained (number, log scale)"
    return _against(stage, looks, "weights", label, lambda name: stage.weights(name).trained, log=True)


def against_memory(stage: StageStudy, looks: Looks) -> str:
    """The test measure by peak memory of training, as :func:`trade_off`."""
    whose = "GPU’s" if stage.on_gpu else "process’s"

    def memory(name: str) -> float:
        return max(spent.training_memory_mb for spent in stage.training(name))

    return _against(stage, looks, "memory", f"{whose} peak memory in training (MiB)", memory)


def against_seconds(stage: StageStudy, looks: Looks) -> str:
    """The test measure by seconds of a training's steps, as :func:`trade_off`."""
    label = f"{'GPU ' * stage.on_gpu}seconds of training, without evaluation"

    def seconds(name: str) -> float:
        return fmean((spent.seconds_per_step or 0) * stage.settings.steps for spent in stage.training(name))

    return _against(stage, looks, "seconds", label, seconds)


def _against(
    stage: StageStudy,
    looks: Looks,
    cost: str,
    label: str,
    cost_of: Callable[[str], float],
    log: bool = False,
) -> str:
    """The test measure of each trained variant by what it costs, with its interval."""
    with drawing(f"{stage.task}-{cost}", label, f"{stage.measure} on test (0 to 1)") as figure:
        for row in stage.rows:
            if row.variant in stage.trained:
                x, look = cost_of(row.variant), looks[row.variant]
                spread = stage.spread[row.name][stage.measure]
                _interval(figure.axes, x, spread, look)
                filled = row.interpolated or stage.task == "retrieval"
                words = f"{row.title}: {stage.mean(row.name):.3f}"
                if math.isfinite(spread.low):
                    words += f", 95 % interval {spread.low:.3f} to {spread.high:.3f}"
                _mark(figure.axes, x, stage.mean(row.name), look, words, filled)
        if log:
            figure.axes.set_xscale("log")
        else:
            figure.axes.xaxis.set_major_locator(MaxNLocator(6))
        figure.axes.margins(0.15)
        shown = _short if log else "{:,g}".format
        figure.axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
        untrained = [row for row in stage.rows if row.variant not in stage.trained]
        _levels(figure.axes, {row.title: stage.mean(row.name) for row in untrained})
    return figure.svg


def interpolation(stage: StageStudy, looks: Looks) -> str:
    """The dev measure by weight of the re-ranker, one line per variant; markers are at selected weights."""
    x = f"weight of the re-ranker (0: {stage.rows[0].title} alone, 1: re-ranker alone)"
    y = f"{stage.settings.selected_by} on dev (0 to 1)"
    with drawing(f"{stage.task}-interpolation", x, y) as figure:
        for variant in stage.variants:
            records = [model.interpolation for model in stage.models[variant] if model.interpolation]
            mean, look = pd.DataFrame([record.dev for record in records]).mean(), looks[variant]
            figure.axes.plot(mean.index, mean, look.line, color=hue(look), gid=tooltip(variant))
            for record in records:
                label = f"{variant}: weight {record.weight:g}, {mean[record.weight]:.3f}"
                _mark(figure.axes, record.weight, mean[record.weight], look, label)
    return figure.svg


def _curves(
    axes: Axes,
    variant: str,
    models: list[ModelRecord],
    curve_of: Callable[[ModelRecord], pd.Series],
    look: Look,
) -> None:
    """Draw the mean over seeds and, with several seeds, a thin line for each."""
    curves = pd.DataFrame({model.seed: curve_of(model) for model in models})
    if len(models) > 1:
        for seed in curves:
            (line,) = axes.plot(curves.index, curves[seed], look.line, color=hue(look), linewidth=0.9)
            line.set(alpha=0.4, gid=tooltip(f"{variant}, seed {seed}"))
    mean = curves.mean(axis=1)
    every = max(1, len(mean) // 8)
    (line,) = axes.plot(mean.index, mean, look.line, color=hue(look), markevery=every, zorder=3)
    line.set(gid=tooltip(variant), **_marker(look, full=False))


def _over_steps(axes: Axes, steps: int) -> None:
    axes.set_xlim(-0.04 * steps, 1.04 * steps)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 4, 5, 10]))


def _mark(axes: Axes, x: float, y: float, look: Look, label: str, full: bool = True) -> None:
    axes.plot([x], [y], linestyle="none", zorder=4, gid=tooltip(label), **_marker(look, full))


def _interval(axes: Axes, x: float, spread: Spread, look: Look) -> None:
    """Draw the 95 % interval of a mean as a vertical line."""
    if math.isfinite(spread.low):
        axes.plot([x, x], [spread.low, spread.high], color=hue(look), linewidth=1, alpha=0.5, zorder=2)


def _marker(look: Look, full: bool) -> dict[str, Any]:
    return {
        "marker": look.marker,
        "markerfacecolor": hue(look) if full else PAPER,
        "markeredgecolor": hue(look),
    }


def _levels(axes: Axes, levels: dict[str, float]) -> None:
    """Draw a dashed line at each of ``levels``, with its name right of the axes; names do not overlap."""
    for value in levels.values():
        axes.axhline(value, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    low, high = axes.get_ylim()
    line_height, y = 0.06 * (high - low), -math.inf
    for name, value in sorted(levels.items(), key=lambda level: level[1]):
        y = max(value, y + line_height)
        axes.annotate(
            name,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=11,
            annotation_clip=False,
        )


def _short(count: float) -> str:
    """``100 k`` for 100,000."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:g}{unit}"
    return f"{count:g}"
