"""Read a study from the files that git keeps of it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.diff.compare import REMEDY, Side, read_side, rows_in, variants_at
from peftir.diff.revisions import Revision
from peftir.report.evidence import Figures
from peftir.report.measured import read_comparisons, read_spread
from peftir.report.rivals import kind
from peftir.report.study import ParameterCounts, StageResults
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.seeds import numbers
from peftir.study.tasks import TASKS, Task, TaskName
from peftir.system.errors import PeftirError

STAGES = {
    layout.SPREAD: "evaluate",
    layout.COMPARISONS: "evaluate",
    layout.VARIANTS: "evaluate",
    layout.LEARNING: "learning",
}
"""The stage that writes each file."""


@dataclass(frozen=True)
class KeptStage(StageResults):
    """The results of one stage, from the files in git."""

    counts: dict[str, ParameterCounts]
    """By variant."""
    steps: dict[str, list[int]]
    """The best step of each model, by variant."""

    def weights(self, variant: str) -> ParameterCounts:
        """The weights of ``variant``, which are the same for every seed."""
        return self.counts[variant]

    def best_steps(self, variant: str) -> list[int]:
        """The step of each model of ``variant``, in the order of the seeds in ``params.yaml``."""
        return self.steps[variant]


@dataclass(frozen=True)
class KeptStudy:
    """A study, from the files in git."""

    side: Side
    stages: dict[TaskName, KeptStage]
    learning: dict[str, Figures]
    """Figures of learning by task, as in ``metrics/learning.json``."""

    @property
    def title(self) -> str:
        """The name that the user gave, with the commit."""
        return self.side.title

    @property
    def test_queries(self) -> tuple[str, tuple[str, ...]]:
        """The source and the ids of the test queries; equal for studies that can be compared by query."""
        return str(self.side.params["collection"]["source"]), tuple(self.side.scores[None].queries)


def read_kept(revision: Revision) -> KeptStudy:
    """Read the study of a git revision or in a folder.

    Raises:
        PeftirError: a file is missing or damaged, or two files do not match.
    """
    side = read_side(revision)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in STAGES:
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_bytes(revision.read(path, REMEDY))
        try:
            stages = {task.name: _read_stage(root, side, task) for task in TASKS}
            learning: dict[str, Figures] = {
                task.name: _read_learning(root, stages[task.name], task) for task in TASKS
            }
        except PeftirError as error:
            raise PeftirError(f"{side.title}: {error}") from error
    return KeptStudy(side, stages, learning)


def _artefact(root: Path, path: Path) -> Artefact:
    return Artefact(root, path, STAGES[path])


def _read_stage(root: Path, side: Side, task: Task) -> KeptStage:
    variants, seeds = variants_at(side.params, task), side.params["seeds"][task.stage]
    rows, measures = rows_in(side.params, task), side.scores[None].measures[task.name]
    names = [row.name for row in rows]
    artefact = _artefact(root, layout.VARIANTS)
    described = artefact.json()
    kinds = {name: kind(str(artefact.get(described, task.name, name, "type"))) for name in variants}
    return KeptStage(
        task=task.name,
        variants=variants,
        trainings=seeds,
        seeds=numbers(seeds),
        measures=measures,
        rows=rows,
        reference=next((name for name in variants if kinds[name] == "full"), None),
        kinds=kinds,
        spread=read_spread(_artefact(root, layout.SPREAD), task.name, names, measures),
        comparisons=read_comparisons(_artefact(root, layout.COMPARISONS), task.name, names, measures),
        counts={name: _counts(artefact, described, task.name, name) for name in variants},
        steps={name: artefact.get(described, task.name, name, "best_steps") for name in variants},
    )


def _counts(artefact: Artefact, described: Any, task: TaskName, name: str) -> ParameterCounts:
    parts = ("trained", "head", "backbone")
    return ParameterCounts(*(int(artefact.number(described, task, name, "weights", part)) for part in parts))


def _read_learning(root: Path, stage: KeptStage, task: Task) -> Figures:
    artefact = _artefact(root, layout.LEARNING)
    figures = artefact.json()
    return {name: artefact.get(figures, task.stage, name) for name in stage.trained}
