"""Format the comparison of studies as text, Markdown, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from peftir.pipeline.compare.comparison import StudyComparison, StudyRow, TestedDifference
from peftir.pipeline.compare.kept import KeptStudy
from peftir.report.answers import words
from peftir.report.evidence import probability
from peftir.statistics.comparisons import signed
from peftir.statistics.significance import ALPHA
from peftir.study.tasks import TASKS, TITLES
from peftir.system.markdown import code, escape, table
from peftir.system.text import aligned, visible

TESTED = ("full", "rival", "baseline", "reference")
DIGITS = 6  # significant ones of numbers in JSON and CSV
NONE = "–"
Rows = list[tuple[str, ...]]


class Given(str):
    """A text that a study brings along, such as a value of its params: in Markdown as code."""


def as_text(found: StudyComparison) -> str:
    """The comparison in aligned columns, with unprintable characters escaped."""
    parts = []
    for title, rows in _tables(found):
        shown = [tuple(map(visible, row)) for row in rows]
        parts.append(
            [f"{visible(''.join(title))}:", *(f"  {line}" for line in aligned(shown, words=len(shown[0])))]
        )
    parts += [[note] for note in _notes(found)]
    return "\n\n".join("\n".join(part) for part in parts)


def as_markdown(found: StudyComparison) -> str:
    """The comparison as Markdown tables."""
    parts = []
    for title, (head, *rows) in _tables(found):
        parts.append([f"### {''.join(map(_in_markdown, title))}"])
        parts.append(table([*map(_in_markdown, head)], (map(_in_markdown, row) for row in rows)))
    parts += [[note] for note in _notes(found)]
    return "\n\n".join("\n".join(part) for part in parts)


def as_json(found: StudyComparison) -> str:
    """The complete comparison as JSON."""
    return json.dumps(
        {
            "studies": [_about(found, study) for study in found.studies],
            "rows": [_record(row) for row in found.rows],
            "claims": [
                {
                    "statement": claim.statement,
                    "answer": words(claim.answer),
                    "studies": {
                        title: {
                            task: {"answer": words(stage.answer), "notes": stage.evidence.notes}
                            for task, stage in each.by_task.items()
                        }
                        for title, each in claim.by_study.items()
                    },
                }
                for claim in found.claims
            ],
        },
        indent=2,
        default=str,
    )


def as_csv(found: StudyComparison) -> str:
    """The rows of all studies as CSV, with the values of the params that differ."""
    file = io.StringIO()
    params = {
        study.title: {condition.label: condition.values[place] for condition in found.conditions}
        for place, study in enumerate(found.studies)
    }
    records = [{**_flat(_record(row)), **params[row.study]} for row in found.rows]
    columns = dict.fromkeys(name for record in records for name in record)
    writer = csv.DictWriter(file, [*columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue().rstrip("\n")


def _tables(found: StudyComparison) -> Iterator[tuple[tuple[str, ...], Rows]]:
    """Yield the title, in parts, and the lines of each table, the head first."""
    yield ("Studies",), _studies(found)
    if found.conditions:
        yield ("Params",), _params(found)
    for task in TASKS:
        rows = [row for row in found.rows if row.task == task.name]
        yield (f"{TITLES[task.name]}, ", Given(found.measure(task.name))), _results(rows)
    titles = [study.title for study in found.studies]
    head = ("claim", *map(Given, titles), "all")
    answers = [
        (claim.statement, *(words(claim.by_study[title].answer) for title in titles), words(claim.answer))
        for claim in found.claims
    ]
    yield ("Claims",), [head, *answers]


def _in_markdown(cell: str) -> str:
    return code(cell) if isinstance(cell, Given) else escape(cell)


def _studies(found: StudyComparison) -> Rows:
    """A line for each study: its test queries, its seeds, and the study that it is compared with."""
    head = ("study", "test queries", "seeds, retriever", "seeds, re-ranker", "compared with")
    lines = []
    for study in found.studies:
        reference = found.references[study.title]
        lines.append(
            (
                Given(study.title),
                f"{len(study.test_queries[1]):,}",
                *(str(len(stage.seeds)) for stage in study.stages.values()),
                NONE if reference == study.title else Given(reference),
            )
        )
    return [head, *lines]


def _params(found: StudyComparison) -> Rows:
    """A line for each param in which the studies differ."""
    head = ("params that differ", *(Given(study.title) for study in found.studies))
    lines = (line for condition in found.conditions for line in condition.lines.items())
    return [head, *((Given(key), *(Given(str(value)) for value in values)) for key, values in lines)]


def _results(rows: Sequence[StudyRow]) -> Rows:
    """A line for each row and study, the studies of a row together."""
    head = (
        "row",
        "study",
        "mean",
        "95 % interval",
        "vs full (95 % interval)",
        "p",
        "vs first (95 % interval)",
        "p",
    )
    order = {name: place for place, name in enumerate(dict.fromkeys(row.row for row in rows))}
    lines = []
    for row in sorted(rows, key=lambda row: order[row.row]):
        spread = row.spread
        sd = "" if math.isnan(spread.sd) else f" ± {spread.sd:.3f}"
        lines.append(
            (
                Given(row.row),
                Given(row.study),
                f"{spread.mean:.3f}{sd}",
                f"{spread.low:.3f} to {spread.high:.3f}",
                *_difference(row.tested.get("full")),
                *_difference(row.tested.get("reference")),
            )
        )
    return [head, *lines]


def _difference(found: TestedDifference | None) -> tuple[str, str]:
    """A difference with its interval, and the corrected p-value."""
    if found is None:
        return NONE, NONE
    if found.difference == found.low == found.high == 0:
        return "every query alike", NONE
    interval = f"{signed(found.low)} to {signed(found.high)}"
    return f"{signed(found.difference)} ({interval})", probability(found.corrected).text


def _notes(found: StudyComparison) -> Iterator[str]:
    """Yield sentences about the tables."""
    yield (
        "vs full: the difference to full fine-tuning in the same study. vs first: the difference to the same "
        "row of the first study with the same test queries; studies with different test queries are not "
        "compared by query. p-values are two-tailed and corrected after Holm over all studies; a difference "
        f"is significant at p ≤ {ALPHA}."
    )
    yield (
        "A claim is held over all studies if it is held in each, and not held if it fails in one. "
        "docs/statistics.md has the rules and the families of tests."
    )


def _about(found: StudyComparison, study: KeptStudy) -> dict[str, Any]:
    place = found.studies.index(study)
    return {
        "study": study.title,
        "reference": found.references[study.title],
        "queries": len(study.test_queries[1]),
        "seeds": {task: stage.seeds for task, stage in study.stages.items()},
        "params": {
            key: values[place] for condition in found.conditions for key, values in condition.params.items()
        },
    }


def _record(row: StudyRow) -> dict[str, Any]:
    """A row as an object; unknown numbers are null."""
    tested = {name: asdict(each) for name, each in row.tested.items()}
    content = {
        "study": row.study,
        "task": row.task,
        "row": row.row,
        "measure": row.measure,
        "weights": row.weights,
        **asdict(row.spread),
        **{name: tested.get(name) for name in TESTED},
    }
    return _rounded(content)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record with a column for each value of its objects, such as ``full_difference``."""
    fields = list(TestedDifference.__dataclass_fields__)
    flat = {key: value for key, value in record.items() if key not in TESTED}
    for name in TESTED:
        flat |= {f"{name}_{field}": (record[name] or {}).get(field) for field in fields}
    return flat
