"""``peftir repro``: run the stale stages in parallel, the one with the longest remaining path first."""

from __future__ import annotations

import concurrent.futures as cf
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from peftir.pipeline.engine.cluster import LOCAL
from peftir.pipeline.engine.commands import intercept_commands
from peftir.pipeline.engine.estimates import Estimates, read_figures
from peftir.pipeline.engine.needs import needs_of
from peftir.pipeline.engine.place import FOLDER, RUNNING, add_error, exclusive_access, last_error, log_of
from peftir.pipeline.engine.progress import Progress, duration
from peftir.pipeline.engine.project import Project, Stage
from peftir.pipeline.engine.turns import Turns
from peftir.pipeline.engine.worker import CommandResult
from peftir.pipeline.engine.workers import OWN_VARIABLES, Workers
from peftir.system.errors import PeftirError
from peftir.system.memory import free_memory

KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
INTERRUPTED = 130  # exit code after Ctrl-C, as in a shell


def repro(targets: Sequence[str], jobs: int | None, address: str | None, dry_run: bool) -> int:
    """Run the stages that ``dvc repro`` would run, with the same outputs; return the exit code.

    Args:
        targets: stages to run with their dependencies; empty for all stages.
        jobs: maximum number of stages at a time; None for as many as the cores allow.
        address: of a Ray cluster to run on.
        dry_run: only print the plan.

    Raises:
        PeftirError: a stage failed, or the run could not start.
    """
    try:
        project = Project(targets, FOLDER / "logs" / "dvc.log")
        os.chdir(project.root)
        if dry_run:
            _print_plan(project)
            return 0
        with exclusive_access():
            stages = project.affected_by(project.stale())
            if stages:
                return _Run(project, stages).run(jobs, address)
            print(f"nothing to do: {len(project.plan)} stages are up to date")
            return 0
    except KeyboardInterrupt:
        return INTERRUPTED


class _Run:
    """State of one call of :func:`repro`."""

    def __init__(self, project: Project, stages: list[Stage]) -> None:
        self.project = project
        self.stages = {stage.addressing: stage for stage in stages}
        self.estimates = Estimates({name: _figures(stage) for name, stage in self.stages.items()})
        self.needs = {
            name: needs_of(stage, self.estimates.memory_mb(name)) for name, stage in self.stages.items()
        }
        self.has_computing = any(needs.computing for needs in self.needs.values())
        self.progress = Progress(len(self.stages), self.remaining)
        self.most_threads = max(needs.threads for needs in self.needs.values())
        self.turns = Turns()
        self.slots = 1
        self.memory_mb = free_memory() // 2**20
        self.running: dict[cf.Future[bool], str] = {}
        self.began: dict[str, float] = {}
        self.executed: set[str] = set()  # stages whose command was run, not restored
        self.done: set[str] = set()
        self.ran: list[Stage] = []
        self.failed: dict[str, str] = {}
        self.stopping = False

    def run(self, jobs: int | None, address: str | None) -> int:
        """Run the stages; return the exit code."""
        start = time.monotonic()
        self.slots = min(jobs or max(1, _cores() // self.most_threads), len(self.stages))
        self.jobs = jobs or len(self.stages)
        environment = dict(os.environ)
        widest = max(needs.threads_each * needs.processes for needs in self.needs.values())
        cpus = max(self.slots * self.most_threads, widest)
        if address is None and self.slots > 1 and self.has_computing and _has_gpus():
            address = LOCAL
        try:
            with (
                closing(Workers(self.has_computing, self.slots, cpus, address)) as self.workers,
                intercept_commands(self.command, FOLDER, self.workers.folder, environment, OWN_VARIABLES),
                _signals_as_interrupts(),
            ):
                with self.project.recording(self.ran):
                    self._run_all(address)
                self.progress.close()
        except KeyboardInterrupt:
            print(
                f"stopped after {len(self.ran)} of {len(self.stages)} stages; peftir repro goes on from there"
            )
            return INTERRUPTED
        self._raise_if_failed()
        many = "s" if len(self.ran) > 1 else ""
        print(f"{len(self.ran)} stage{many} in {duration(time.monotonic() - start)}")
        return 0

    def _run_all(self, address: str | None) -> None:
        """Run all stages, except those that depend on a failed one."""
        pool = cf.ThreadPoolExecutor(len(self.stages))
        waiting = list(self.stages)
        try:
            while (startable := self._startable(waiting)) or self.running:
                ready = self.workers.are_ready()
                if ready and address:  # then Ray schedules by its nodes' resources
                    self.slots = min(self.workers.slots(self.most_threads), self.jobs)
                    self.memory_mb = sys.maxsize
                for name in startable:
                    if (ready or not self.needs[name].computing) and self._fits(name):
                        waiting.remove(name)
                        self.began[name] = time.monotonic()
                        self.running[pool.submit(self.project.reproduce, self.stages[name])] = name
                if self.running:
                    cf.wait(self.running, timeout=1.0, return_when=cf.FIRST_COMPLETED)
                else:
                    time.sleep(0.1)  # until the workers are ready
                self._collect_finished()
                self.progress.refresh()
        except BaseException:
            self.stopping = True
            self.progress.close()
            print("stopping; finished stages are kept", flush=True)
            self.workers.stop()
            cf.wait(self.running)
            self._collect_finished()
            raise
        finally:
            pool.shutdown()

    def _startable(self, waiting: list[str]) -> list[str]:
        """The stages whose dependencies are done, the one with the longest remaining path first."""
        paths = self._paths()
        startable = [name for name in waiting if all(other in self.done for other in self._needed_by(name))]
        return sorted(startable, key=lambda name: -paths[name])

    def _fits(self, name: str) -> bool:
        """Whether a slot and, by the estimates, enough memory are free for ``name``."""
        held = sum(self.estimates.memory_mb(other) for other in self.running.values())
        has_memory = held + self.estimates.memory_mb(name) <= self.memory_mb
        return len(self.running) < self.slots and (has_memory or not self.running)

    def _needed_by(self, name: str) -> list[str]:
        """The stages of this run that ``name`` depends on."""
        needed = self.project.needed_by(self.stages[name])
        return [stage.addressing for stage in needed if stage.addressing in self.stages]

    def _collect_finished(self) -> None:
        for future in [future for future in self.running if future.done()]:
            name = self.running.pop(future)
            try:
                was_stale = future.result()
            except PeftirError as error:
                if not self.stopping:
                    self._failed(name, str(error))
                continue
            self.done.add(name)
            if was_stale:
                self.ran.append(self.stages[name])
            self.progress.ended(name, self._outcome(name, was_stale))

    def _failed(self, name: str, error: str) -> None:
        self.failed[name] = (last_error(log_of(name)) if name in self.executed else None) or error
        self.progress.ended(name, f"FAILED: {self.failed[name]}")

    def _outcome(self, name: str, was_stale: bool) -> str:
        if not was_stale:
            return "is up to date after all"
        if name not in self.executed:
            return "restored from DVC's cache of runs"
        seconds = time.monotonic() - self.began[name]
        self.estimates.took(name, seconds)
        return duration(seconds)

    def command(self, name: str, request: dict[str, Any]) -> int:
        """Run a stage's command; retry it once with no other stage running if it was killed for memory."""
        if self.stopping:
            return 1
        self.executed.add(name)
        log = log_of(name)
        log.unlink(missing_ok=True)
        request |= {"log": str(log.absolute()), "running": str(RUNNING.absolute())}
        with self.turns.shared():
            self.progress.started(name, log)
            result = self._run_command(name, request)
        if result.code in KILLED and not self.stopping:
            peak = f" (it used {result.peak // 1024:,} MB)" if result.peak else ""
            self.progress.say(
                f"{name} was killed, most likely for memory{peak}: retrying with no other stage running"
            )
            with self.turns.exclusive():
                result = self._run_command(name, request)
            if result.code in KILLED and not self.stopping:
                add_error(
                    log,
                    "killed twice, the second time with no other stage running: most likely it needs more "
                    "memory than there is; lower its batch size in params.yaml or free some memory",
                )
        return result.code

    def _run_command(self, name: str, request: dict[str, Any]) -> CommandResult:
        try:
            return self.workers.run(request, self.needs[name])
        except PeftirError as error:
            add_error(log_of(name), str(error))
            return CommandResult(1)

    def _paths(self) -> dict[str, float]:
        return self.estimates.remaining_paths(list(self.stages), self._needed_by)

    def remaining(self) -> tuple[float, int]:
        """Estimated seconds left, and the number of stages whose duration is unknown."""
        now, paths = time.monotonic(), self._paths()
        left = [name for name in self.stages if name not in self.done and name not in self.failed]
        known = [name for name in left if self.estimates.knows(name)]
        spent = {name: min(now - self.began.get(name, now), self.estimates.seconds(name)) for name in known}
        work = sum(self.estimates.seconds(name) - spent[name] for name in known) / self.slots
        return max([work, *(paths[name] - spent[name] for name in known)]), len(left) - len(known)

    def _raise_if_failed(self) -> None:
        if not self.failed:
            return
        named = ", ".join(f"{name} (log: {log_of(name)})" for name in self.failed)
        waiting = len(self.stages) - len(self.done) - len(self.failed)
        held = f"; {waiting} more depend on it" if waiting else ""
        raise PeftirError(
            f"{named}: failed: {next(iter(self.failed.values()))}{held}; fix the cause and run peftir repro "
            "again: finished stages are kept"
        )


def _print_plan(project: Project) -> None:
    stale = project.stale()
    stages = project.affected_by(stale)
    for stage in stages:
        print(f"{stage.addressing}{'' if stage in stale else '  (if an input changes)'}")
    print(f"{len(stale)} of {len(project.plan)} stages are stale; {len(stages) - len(stale)} depend on them")


def _figures(stage: Stage) -> dict[str, Any]:
    """Seconds and memory of an earlier run of ``stage``, from its output under ``metrics/resources``."""
    for out in stage.outs:
        if Path(out.def_path).parts[:2] == ("metrics", "resources"):
            cached = [Path(out.cache_path)] if out.hash_info and out.hash_info.value else []
            return read_figures(*cached, Path(out.fs_path))
    return {}


def _cores() -> int:
    """The number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _has_gpus() -> bool:
    """Whether this machine has NVIDIA GPUs, without the seconds that torch takes to import."""
    gpus = Path("/proc/driver/nvidia/gpus")
    return gpus.is_dir() and any(gpus.iterdir())


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Inside the block, treat SIGTERM and SIGHUP as Ctrl-C; ignore all of them after the first."""
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
