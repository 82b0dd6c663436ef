"""The DVC project: list the stale stages, run a stage, update ``dvc.lock``.

These are the functions that ``dvc repro`` calls, one stage after the other. Here several threads share one
``Repo``: one thread at a time runs DVC's code, the others wait for their stage's command.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
from dvc.exceptions import DvcException
from dvc.lock import LockBase
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage as Stage
from dvc.stage.exceptions import StageCmdFailedError

from peftir.system.errors import PeftirError


class Project:
    """The stages of the project around the current folder, in the order of ``dvc repro``.

    Args:
        targets: stages, named as for ``dvc repro``, to run with their dependencies; empty for all.
        log: file for DVC's messages.

    Raises:
        PeftirError: no project found, or DVC rejects ``dvc.yaml`` or a target.
    """

    def __init__(self, targets: Sequence[str], log: Path) -> None:
        with _dvc_errors():
            self._repo = _SharedRepo(_wait_for_lock=True)
            self.root = Path(self._repo.root_dir)
            _log_to(self.root / log)
            with self._repo.lock:
                self._graph = get_active_graph(self._repo.index.graph)
                selected = collect_stages(self._repo, targets or ["dvc.yaml"])
                self.plan: list[Stage] = plan_repro(self._graph, selected)

    def needed_by(self, stage: Stage) -> list[Stage]:
        """The direct dependencies of ``stage``."""
        return list(self._graph.successors(stage))

    def stale(self) -> list[Stage]:
        """The stages of the plan that are stale now."""
        with _dvc_errors(), self._repo.lock:
            return [stage for stage in self.plan if stage.changed(upstream=self.needed_by(stage))]

    def affected_by(self, stale: Sequence[Stage]) -> list[Stage]:
        """The ``stale`` stages of the plan and all that depend on them."""
        affected = set(stale).union(*(nx.ancestors(self._graph, stage) for stage in stale))
        return [stage for stage in self.plan if stage in affected]

    def reproduce(self, stage: Stage) -> bool:
        """Run ``stage``, or restore its outputs from the run cache, if it is stale; return whether it was.

        Raises:
            PeftirError: the command failed, or an output is missing.
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
        """At the end of the block, even after an error, write the stages in ``ran`` to ``dvc.lock``.

        They are written in the order of the plan, so that the file equals the one of ``dvc repro``. After a
        kill ``dvc.lock`` is unchanged; the next call restores the finished stages from DVC's run cache.
        """
        with self._repo.scm_context(quiet=True):
            try:
                yield
            finally:
                ran.sort(key=self.plan.index)
                with self._repo.lock:
                    for file in dict.fromkeys(stage.dvcfile for stage in ran):
                        stages = [stage for stage in ran if stage.dvcfile == file]
                        file.dump_stages(stages, update_pipeline=False)


class _SharedRepo(Repo):
    """A thread-safe ``Repo``."""

    def __init__(self, **settings: Any) -> None:
        self._gate = threading.RLock()
        super().__init__(**settings)
        self.lock: LockBase = _ThreadSafeLock(self.lock, self._gate)

    def _reset(self) -> None:  # called by DVC after it has released the lock
        with self._gate:
            super()._reset()


class _ThreadSafeLock(LockBase):
    """DVC's lock between processes, combined with a lock between this process's threads."""

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
def _dvc_errors() -> Iterator[None]:
    """Inside the block, raise DVC's errors as PeftirError."""
    try:
        yield
    except DvcException as error:
        raise PeftirError(str(error)) from error


def _log_to(file: Path) -> None:
    """Send DVC's messages to ``file`` instead of the terminal."""
    file.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("dvc")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
