"""The project as DVC sees it: what is stale, running a stage, writing down what ran.

All of that is DVC's own doing: ``dvc repro`` calls the same functions, one stage after the other. Here
several threads share one ``Repo``; at any time one of them is in DVC, the others in their stage's command.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.lock import LockBase
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage as Stage
from dvc.stage.exceptions import StageCmdFailedError

from peftir.system.errors import PeftirError


class Project:
    """The stages of the project around the current folder, in the order in which ``dvc repro`` takes them.

    Args:
        targets: stages as ``dvc repro`` takes them, with those that they need; none are all.
        log: where DVC's own messages go.

    Raises:
        PeftirError: there is no project, or DVC refuses ``dvc.yaml`` or a target.
    """

    def __init__(self, targets: Sequence[str], log: Path) -> None:
        with _in_one_line():
            self._repo = _SharedRepo(_wait_for_lock=True)
            self.root = Path(self._repo.root_dir)
            _log_to(self.root / log)
            with self._repo.lock:
                self._graph = get_active_graph(self._repo.index.graph)
                requested = collect_stages(self._repo, targets or ["dvc.yaml"])
                self.plan: list[Stage] = plan_repro(self._graph, requested)

    def needed_by(self, stage: Stage) -> list[Stage]:
        """The stages whose outputs ``stage`` reads."""
        return list(self._graph.successors(stage))

    def stale(self) -> list[Stage]:
        """The stages of the plan that have to run as things are."""
        with _in_one_line(), self._repo.lock:
            return [stage for stage in self.plan if stage.changed(upstream=self.needed_by(stage))]

    def to_consider(self, stale: Sequence[Stage]) -> list[Stage]:
        """The stages of the plan that run or, if those before them write something else, may run."""
        after = set(stale).union(*(nx.ancestors(self._graph, stage) for stage in stale))
        return [stage for stage in self.plan if stage in after]

    def reproduce(self, stage: Stage) -> bool:
        """Run ``stage``, or restore what it would write, if it is stale; whether it was.

        Raises:
            PeftirError: the command failed, or left out an output.
        """
        try:
            with self._repo.lock:
                return stage.reproduce(upstream=self.needed_by(stage)) is not None
        except StageCmdFailedError as error:
            raise PeftirError("its command failed") from error
        except DvcException as error:
            raise PeftirError(str(error)) from error

    @contextmanager
    def recording(self, ran: list[Stage]) -> Iterator[None]:
        """At the end of the block, whatever happened, write what is in ``ran`` by then to ``dvc.lock``.

        All at once and in the order of the plan, so that the file is the one that ``dvc repro`` writes.
        After a kill nothing of it is there, but in DVC's cache of runs: the next call restores it from there.
        """
        with self._repo.scm_context(quiet=True):
            try:
                yield
            finally:
                ran.sort(key=self.plan.index)
                with self._repo.lock:
                    for file in dict.fromkeys(stage.dvcfile for stage in ran):
                        chosen = [stage for stage in ran if stage.dvcfile == file]
                        file.dump_stages(chosen, update_pipeline=False)


def threads_of(stage: Stage) -> int | None:
    """How many threads ``stage`` computes with, if it follows the setting ``threads``."""
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency) and "threads" in dependency.params:
            return int(dependency.read_params().get("threads", 1))
    return None


class _SharedRepo(Repo):
    """A ``Repo`` for several threads."""

    def __init__(self, **settings: Any) -> None:
        self._gate = threading.RLock()
        super().__init__(**settings)
        self.lock: LockBase = _OneAtATime(self.lock, self._gate)

    def _reset(self) -> None:  # which DVC calls when it has released the lock
        with self._gate:
            super()._reset()


class _OneAtATime(LockBase):
    """DVC's lock, which keeps other processes out, behind a gate that keeps this one's threads apart."""

    def __init__(self, inner: LockBase, gate: Any) -> None:
        self._inner = inner
        self._gate = gate

    @property
    def lockfile(self) -> Any:
        return self._inner.lockfile

    @property
    def is_locked(self) -> bool:
        return self._inner.is_locked

    def lock(self) -> None:
        self._gate.acquire()
        try:
            self._inner.lock()
        except BaseException:
            self._gate.release()
            raise

    def unlock(self) -> None:
        try:
            self._inner.unlock()
        finally:
            self._gate.release()

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, *_: object) -> None:
        self.unlock()


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except DvcException as error:
        raise PeftirError(str(error)) from error


def _log_to(file: Path) -> None:
    """Send DVC's messages to ``file``, and none to the terminal."""
    file.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("dvc")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
