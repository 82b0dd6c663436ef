"""The processes that run the commands of one call: the guard, the forkservers and, optionally, Ray.

On one machine without GPUs the number of jobs is enough to share the cores. Ray is left out there: it takes
12 seconds to start, a minute on a busy machine, and 0.7 GB of memory.
"""

from __future__ import annotations

import concurrent.futures as cf
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from peftir.pipeline.engine import cluster, guard
from peftir.pipeline.engine.cluster import LOCAL, Cluster
from peftir.pipeline.engine.forkserver import FORKS, LIBRARIES
from peftir.pipeline.engine.needs import Needs
from peftir.pipeline.engine.place import FOLDER, short_folder
from peftir.pipeline.engine.worker import CommandResult, Forkserver

MARK = "PEFTIR_RUN"  # set in the environment of all processes of a call
# Variables that are set here; commands get the user's values.
OWN_VARIABLES = frozenset({*cluster.RAY_ENVIRONMENT, cluster.TOKEN})


class Workers:
    """Run commands in this machine's forkserver, or on the nodes that Ray selects.

    While it and Ray start, stages that compute nothing run in a second forkserver without libraries.

    Args:
        computing: whether any stage computes and needs the libraries.
        slots: number of commands at a time without Ray.
        cpus: total number of threads of all commands, if Ray is started here.
        address: of a Ray cluster to join; ``local`` starts Ray here, None runs without Ray.
    """

    def __init__(self, computing: bool, slots: int, cpus: int, address: str | None) -> None:
        os.environ[MARK] = secrets.token_hex(8)
        self._temporary = tempfile.TemporaryDirectory(
            prefix="r", dir=short_folder(cluster.MAX_FOLDER_BYTES - 10), ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name)
        self._guard = subprocess.Popen(
            [sys.executable, guard.__file__, MARK, os.environ[MARK], str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != MARK},
        )
        environment = dict(os.environ)
        self._forkserver = Forkserver(
            environment, LIBRARIES if computing and FORKS else (), self.folder / "libraries"
        )
        self._bare = Forkserver(environment, (), self.folder / "bare")
        self._starting: cf.Future[Cluster] | None = None
        self._slots = slots
        if address:
            if address == LOCAL:
                os.environ |= cluster.ray_environment()
            self._starting = cf.Future()
            threading.Thread(target=self._start_cluster, args=(address, cpus), daemon=True).start()

    def _start_cluster(self, address: str, cpus: int) -> None:
        assert self._starting is not None
        try:
            started = Cluster(address, FOLDER.absolute(), self._forkserver, cpus, self.folder)
        except BaseException as error:
            self._starting.set_exception(error)
        else:
            self._starting.set_result(started)

    def are_ready(self) -> bool:
        """Whether stages that compute can run now.

        Raises:
            PeftirError: Ray does not start.
        """
        if self._starting is None:
            return True
        return self._starting.done() and bool(self._starting.result())

    def slots(self, threads: int) -> int:
        """The number of commands with ``threads`` threads each at a time, once the workers are ready."""
        return self._starting.result().slots(threads) if self._starting else self._slots

    def run(self, request: dict[str, Any], needs: Needs) -> CommandResult:
        """Run a command, wait for it and return its result."""
        if not needs.computing and not (self.are_ready() and self._forkserver.is_ready()):
            return self._bare.run(request)
        if self._starting is None:
            return self._forkserver.run(request)
        return self._starting.result().run(request, needs)

    def stop(self) -> None:
        """Kill all commands; none can start after that."""
        self._forkserver.close()
        self._bare.close()
        if running := self._cluster():
            running.stop()

    def close(self) -> None:
        """Stop all processes and remove the temporary folder."""
        self.stop()
        if running := self._cluster():
            running.close()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        self._temporary.cleanup()

    def _cluster(self) -> Cluster | None:
        has_started = self._starting is not None and self._starting.done() and not self._starting.exception()
        return self._starting.result() if self._starting and has_started else None
