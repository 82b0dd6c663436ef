"""All that runs the commands of one call: the guard, the forkservers, perhaps Ray; they come and go together.

One machine without GPUs has nothing to give out but its cores, which the number of jobs does. There Ray would
take 12 seconds to start, a minute when the machine is busy, and 0.7 GB for its processes, for nothing.
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
from peftir.pipeline.engine.cluster import LOCAL, Cluster, Needs
from peftir.pipeline.engine.forkserver import FORKS, LIBRARIES
from peftir.pipeline.engine.place import FOLDER, short_folder
from peftir.pipeline.engine.worker import Ended, Forkserver

MARK = "PEFTIR_RUN"  # in the environment of all processes of a call
# Variables that are set here and that the commands get as the user has them.
OURS = frozenset({*cluster.ALONE, cluster.TOKEN})


class Workers:
    """What runs commands: this machine's forkserver, by itself or as Ray says.

    The libraries and Ray take as long to start as the first stages, which compute nothing, take to run: these
    need neither.

    Args:
        computing: whether any of the stages computes, and so needs the libraries.
        slots: how many commands run at a time where Ray does not say it.
        cpus: how many threads the commands may have together on a Ray of its own.
        address: of a Ray cluster to join; ``local`` starts a Ray of its own, None does without.
    """

    def __init__(self, computing: bool, slots: int, cpus: int, address: str | None) -> None:
        os.environ[MARK] = secrets.token_hex(8)
        self._temporary = tempfile.TemporaryDirectory(
            prefix="r", dir=short_folder(cluster.SHORT - 10), ignore_cleanup_errors=True
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
                os.environ |= cluster.environment_alone()
            self._starting = cf.Future()
            threading.Thread(target=self._start_cluster, args=(address, cpus), daemon=True).start()

    def _start_cluster(self, address: str, cpus: int) -> None:
        assert self._starting is not None
        try:
            made = Cluster(address, cpus, FOLDER.absolute(), self.folder, self._forkserver)
        except BaseException as error:
            self._starting.set_exception(error)
        else:
            self._starting.set_result(made)

    def are_ready(self) -> bool:
        """Whether stages that compute can run by now.

        Raises:
            PeftirError: Ray does not start.
        """
        if self._starting is None:
            return True
        return self._starting.done() and bool(self._starting.result())

    def slots(self, threads: int) -> int:
        """How many commands with ``threads`` threads run at a time, once they are ready."""
        return self._starting.result().slots(threads) if self._starting else self._slots

    def run(self, request: dict[str, Any], needs: Needs) -> Ended:
        """Run a command and wait for its end."""
        if not needs.computing and not (self.are_ready() and self._forkserver.is_ready()):
            return self._bare.run(request)
        if self._starting is None:
            return self._forkserver.run(request)
        return self._starting.result().run(request, needs)

    def stop(self) -> None:
        """End all commands at once; none starts after that."""
        self._forkserver.close()
        self._bare.close()
        if made := self._cluster():
            made.stop()

    def close(self) -> None:
        """End everything."""
        self.stop()
        if made := self._cluster():
            made.close()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        self._temporary.cleanup()

    def _cluster(self) -> Cluster | None:
        started = self._starting is not None and self._starting.done() and not self._starting.exception()
        return self._starting.result() if self._starting and started else None
