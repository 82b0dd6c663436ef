"""Format a comparison as text for a terminal, Markdown for a pull request, or JSON."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from peftir.diff.changes import Change
from peftir.diff.compare import Line, RevisionComparison
from peftir.diff.noise import SHARED
from peftir.statistics.significance import ALPHA
from peftir.study.tasks import TITLES
from peftir.system.markdown import code, table
from peftir.system.text import aligned, visible

HEAD = ("row", "measure", "before", "after", "difference", "95 % interval", "verdict")
DECIMALS = 3


def as_text(found: RevisionComparison) -> str:
    """The comparison in aligned columns, with unprintable characters escaped."""
    parts = [[f"{visible(found.before)} → {visible(found.after)}: {_counts(found)}"]]
    if found.changes:
        parts.append(_aligned([("params", "before", "after"), *map(_change, found.changes)]))
    for title, lines in _by_title(found).items():
        parts.append([f"{title}:", *_aligned([HEAD, *map(_cells, lines)])])
    parts.append(list(_notes(found, visible)))
    return "\n\n".join("\n".join(part) for part in parts if part)


def as_markdown(found: RevisionComparison) -> str:
    """The comparison in tables for GitHub; rows within noise are collapsed."""
    parts = [[f"**{code(found.before)} → {code(found.after)}: {_counts(found)}**"]]
    if found.changes:
        changes = ([code(cell) for cell in _change(change)] for change in found.changes)
        parts.append(table(("params", "before", "after"), changes))
    for title, lines in _by_title(found).items():
        decided = [line for line in lines if line.verdict != "within noise"]
        noise = [line for line in lines if line.verdict == "within noise"]
        parts.append([f"### {title}"])
        if decided:
            parts.append(_rows(decided))
        parts.append(list(_chart([line for line in found.lines if _title(line.test, line.task) == title])))
        if noise:
            parts.append([f"<details><summary>{len(noise)} within noise</summary>"])
            parts.append(_rows(noise))
            parts.append(["</details>"])
    parts += [[note] for note in _notes(found, code)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def as_json(found: RevisionComparison) -> str:
    """The complete comparison as JSON, with one more digit than in the tables."""
    content = asdict(found)
    content["verdicts"] = _tally(found)
    content["lines"] = [_as_object(line) for line in found.lines]
    return json.dumps(content, indent=2, default=str)


def _as_object(line: Line) -> dict[str, Any]:
    numbers = {
        "before": line.before,
        "after": line.after,
        "difference": line.difference.mean,
        "low": line.difference.low,
        "high": line.difference.high,
        "p": line.difference.p,
        "p_corrected": line.corrected,
    }
    shown = {
        name: round(value, DECIMALS + 1) if math.isfinite(value) else None for name, value in numbers.items()
    }
    return {
        "test": line.test,
        "task": line.task,
        "row": line.row,
        "measure": line.measure,
        **shown,
        "verdict": line.verdict,
    }


def _tally(found: RevisionComparison) -> dict[str, int]:
    counts = Counter(line.verdict for line in found.lines)
    return {verdict: counts[verdict] for verdict in ("worse", "better", "within noise")}


def _counts(found: RevisionComparison) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in _tally(found).items())


def _by_title(found: RevisionComparison) -> dict[str, list[Line]]:
    """The lines with a difference in at least one query, by test set and task."""
    titles: dict[str, list[Line]] = {}
    for line in found.lines:
        if _differs(line):
            titles.setdefault(_title(line.test, line.task), []).append(line)
    return titles


def _title(test: str | None, task: str) -> str:
    """The title of a table; names of test sets are checked when read, so they need no escaping."""
    return TITLES[task] if test is None else f"{TITLES[task]} on {test}"


def _differs(line: Line) -> bool:
    return line.difference.low != 0 or line.difference.high != 0


def _chart(lines: list[Line]) -> Iterator[str]:
    """Yield a Mermaid chart of a task's first measure: bars are after, the line is before."""
    measure = lines[0].measure
    lines = [line for line in lines if line.measure == measure]
    highest = max(max(line.before, line.after) for line in lines)
    yield "```mermaid"
    yield "xychart-beta"
    yield f'  title "{_label(measure)}: after as bars, before as a line"'
    yield f"  x-axis [{', '.join(json.dumps(_label(line.row)) for line in lines)}]"
    yield f"  y-axis 0 --> {math.ceil(10 * highest) / 10 or 0.1:g}"
    yield f"  bar [{', '.join(f'{line.after:.{DECIMALS}f}' for line in lines)}]"
    yield f"  line [{', '.join(f'{line.before:.{DECIMALS}f}' for line in lines)}]"
    yield "```"


def _label(name: str) -> str:
    """A name for a chart, without characters that could end its quotes or the chart."""
    return re.sub(r"[^\w@+.()=, -]", "?", name)


def _notes(found: RevisionComparison, name: Callable[[str], str]) -> Iterator[str]:
    """Yield sentences about the comparison; ``name`` formats the names of rows."""
    rows = list(dict.fromkeys((line.test, line.task, line.row) for line in found.lines))
    different = {(line.test, line.task, line.row) for line in found.lines if _differs(line)}
    listings: dict[str, list[tuple[str | None, str, str]]] = {
        "The same for every query": [row for row in rows if row not in different],
        "New": [(None, *row) for row in found.added],
        "Removed": [(None, *row) for row in found.removed],
    }
    for what, listed in listings.items():
        if listed:
            yield f"{what}: {'; '.join(_named(listed, name))}."
    for what, tests in (("New", found.tests_added), ("Removed", found.tests_removed)):
        if tests:
            yield f"{what} test sets: {', '.join(tests)}."
    yield _means("", found.queries)
    yield from (_means(f" on {test}", count) for test, count in found.tests.items())
    if different:
        yield (
            f"Intervals are over queries and over seeds, {_seeds(found)}. Better or worse is what is still "
            f"so at p ≤ {ALPHA} after Holm's correction for all lines compared."
        )


def _means(on: str, queries: tuple[int, int, int]) -> str:
    """The sentence about the queries that means are over; ``on`` names the test set."""
    compared, before, after = queries
    if not compared:
        return f"Not compared{on}: of its {before:,} queries before and {after:,} after, none is in both."
    if compared < max(before, after):
        return (
            f"Means{on} over the {compared:,} test queries in both, of {before:,} before and {after:,} after."
        )
    return f"Means{on} over {compared:,} test queries."


def _seeds(found: RevisionComparison) -> str:
    """The phrase about the variance between seeds."""
    measured = "as far apart as the rows with several seeds say"
    assumed = (
        f"assumed to make {SHARED:.0%} of the variance per query, since there is but one: with more under "
        "`seeds` in params.yaml that is measured"
    )
    if not found.seeds_assumed:
        return measured
    if {line.task for line in found.lines} <= set(found.seeds_assumed):
        return assumed
    return f"{measured}; at {' and '.join(TITLES[task].lower() for task in found.seeds_assumed)} {assumed}"


def _named(rows: list[tuple[str | None, str, str]], name: Callable[[str], str]) -> Iterator[str]:
    for test, task in dict.fromkeys(row[:2] for row in rows):
        names = dict.fromkeys(name(row) for *place, row in rows if place == [test, task])
        yield f"{_title(test, task)[0].lower()}{_title(test, task)[1:]} {', '.join(names)}"


def _change(change: Change) -> tuple[str, ...]:
    return change.key, str(change.before), str(change.after)


def _cells(line: Line) -> tuple[str, ...]:
    found = line.difference
    return (
        line.row,
        line.measure,
        f"{line.before:.{DECIMALS}f}",
        f"{line.after:.{DECIMALS}f}",
        _signed(found.mean),
        f"{_signed(found.low)} to {_signed(found.high)}",
        line.verdict,
    )


def _signed(value: float) -> str:
    return f"{value:+.{DECIMALS}f}".replace("-", "−")


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    shown = [tuple(map(visible, row)) for row in rows]
    return [f"  {line}" for line in aligned(shown, words=len(shown[0]))]


def _rows(lines: list[Line]) -> list[str]:
    """A Markdown table of lines."""
    cells = (_cells(line) for line in lines)
    return table(HEAD, ((code(row), code(measure), *rest) for row, measure, *rest in cells))
