"""The figure of several studies: quality against the param in which they differ."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peftir.pipeline.compare.comparison import StudyComparison, StudyRow
from peftir.report.style import BY_DAY, BY_NIGHT, Looks, looks_of
from peftir.report.svg import INK, drawing, hue
from peftir.study.rows import Row
from peftir.study.tasks import TASKS, TITLES, TaskName
from peftir.system.files import replacing

WIDTH, HEIGHT = 420, 290  # of a drawing
MARGIN = 8
SPREAD = 0.5  # of the distance between two studies, over which the rows of one are spread
INKS = {  # as in the page of a report, for the light and the dark scheme
    "ink-soft": ("#59626d", "#a0a9b4"),
    "rule": ("#e3e6ea", "#2b3138"),
    "paper": ("#ffffff", "#14171b"),
}


def write_figure(path: Path, found: StudyComparison) -> None:
    """Write one SVG with a panel per stage: the measure of each row by study, with its 95 % interval.

    Where the studies differ in one param, or in several that change together, they are in the order of its
    values. A line connects studies with the same test queries. Re-rankers are without interpolation.
    """
    looks = looks_of(row.row for row in found.rows if Row.of(row.row).variant)
    panels = [_panel(found, task.name, looks) for task in TASKS]
    with replacing(path) as partial:
        partial.write_text(_document(panels), encoding="utf-8")


def axis_of(found: StudyComparison) -> tuple[str, list[tuple[str, list[str]]]]:
    """The label of the horizontal axis; each of its values, and the titles of the studies that have it."""
    titles = [study.title for study in found.studies]
    if len(found.conditions) != 1:
        return "study", [(title, [title]) for title in titles]
    condition = found.conditions[0]
    studies: dict[Any, list[str]] = {}
    for value, title in zip(map(_hashable, condition.values), titles, strict=True):
        studies.setdefault(value, []).append(title)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in studies)
    ordered = sorted(studies) if numbers else list(studies)
    return condition.label, [(str(value), studies[value]) for value in ordered]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else str(value)


def _panel(found: StudyComparison, task: TaskName, looks: Looks) -> str:
    label, values = axis_of(found)
    rows = [row for row in found.rows if row.task == task and not Row.of(row.row).interpolated]
    names = list(dict.fromkeys(row.row for row in rows))
    position = {title: place for place, (_, titles) in enumerate(values) for title in titles}
    y = f"{TITLES[task]}: {found.measure(task)} on test (0 to 1)"
    with drawing(f"compare-{task}", label, y) as figure:
        for place, name in enumerate(names):
            shift = SPREAD * ((place + 0.5) / len(names) - 0.5)
            for group in _groups(found, [row for row in rows if row.row == name]):
                points = sorted((position[row.study] + shift, row) for row in group)
                _draw(figure.axes, name, [x for x, _ in points], [row for _, row in points], looks)
        figure.axes.set_xticks(range(len(values)), [_short(text) for text, _ in values])
        figure.axes.set_xlim(-0.6, len(values) - 0.4)
        handles, labels = figure.axes.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        figure.axes.legend(
            unique.values(), unique, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9
        )
    return figure.svg


def _groups(found: StudyComparison, rows: Sequence[StudyRow]) -> list[list[StudyRow]]:
    """``rows`` by the test queries of their studies."""
    groups: dict[str, list[StudyRow]] = {}
    for row in rows:
        groups.setdefault(found.references[row.study], []).append(row)
    return list(groups.values())


def _draw(axes: Any, name: str, x: list[float], rows: list[StudyRow], looks: Looks) -> None:
    means = [row.spread.mean for row in rows]
    known = [row.spread for row in rows if math.isfinite(row.spread.low)]
    color, marker, line = INK, "_", "--"
    if name in looks:
        color, marker, line = hue(looks[name]), looks[name].marker, looks[name].line
    axes.plot(x, means, linestyle=line, color=color, marker=marker, linewidth=1.2, label=name, zorder=3)
    if len(known) == len(rows):
        low, high = ([getattr(spread, end) for spread in known] for end in ("low", "high"))
        axes.vlines(x, low, high, color, linewidth=1, alpha=0.5)


def _short(text: str) -> str:
    """A value for the axis: the end of a path or of an id, in at most 16 characters."""
    last = text.rstrip("/").rpartition("/")[2]
    return last if len(last) <= 16 else f"{last[:15]}…"


def _document(panels: list[str]) -> str:
    """One SVG with ``panels`` beside each other, in the light and the dark scheme."""
    placed = [
        re.sub("<svg ", f'<svg x="{place * WIDTH}" width="{WIDTH}" height="{HEIGHT}" ', panel, count=1)
        for place, panel in enumerate(panels)
    ]
    schemes = [
        "".join(
            [
                *(f"--hue-{place}:{colour};" for place, colour in enumerate(hues)),
                *(f"--{name}:{inks[number]};" for name, inks in INKS.items()),
            ]
        )
        for number, hues in enumerate((BY_DAY, BY_NIGHT))
    ]
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    width, height = WIDTH * len(panels) + 2 * MARGIN, HEIGHT + 2 * MARGIN
    box = f"{-MARGIN} {-MARGIN} {width} {height}"
    dark = f"@media (prefers-color-scheme: dark){{:root{{{schemes[1]}}}}}"
    return "\n".join(
        [
            f'<svg {names} viewBox="{box}" width="{width}" height="{height}" font-family="sans-serif">',
            f"<style>:root{{{schemes[0]}}}{dark}</style>",
            f'<rect x="{-MARGIN}" y="{-MARGIN}" width="{width}" height="{height}" fill="var(--paper)"/>',
            *placed,
            "</svg>",
            "",
        ]
    )
