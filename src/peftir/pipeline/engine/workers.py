"""All that runs the commands of one call: the guard, the forkserver and Ray; they come and go together."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peftir.pipeline.engine import cluster, guard
from peftir.pipeline.engine.cluster import Cluster, Needs
from peftir.pipeline.engine.forkserver import LIBRARIES
from peftir.pipeline.engine.place import FOLDER, short_folder
from peftir.pipeline.engine.worker import Ended, Forkserver

MARK = "PEFTIR_RUN"  # in the environment of all processes of a call
# Variables that are set here and that the commands get as the user has them.
OURS = frozenset({*cluster.ALONE, cluster.TOKEN})


class Workers:
    """What runs commands: this machine's forkserver, by itself or as Ray says.

    Args:
        computing: whether a stage needs the libraries.
        cpus: how many threads the commands may have together; 0 is one command at a time, without Ray.
        address: of a Ray cluster to join.
    """

    def __init__(self, computing: bool, cpus: int, address: str | None) -> None:
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
        self._cluster: Cluster | None = None
        self._forkserver = Forkserver(dict(os.environ), LIBRARIES if computing else (), self.folder)
        try:
            if address or cpus:
                if address is None:
                    os.environ |= cluster.environment_alone()
                self._cluster = Cluster(address, cpus, FOLDER.absolute(), self.folder, self._forkserver)
        except BaseException:
            self.close()
            raise

    def slots(self, threads: int) -> int:
        """How many commands with ``threads`` threads run at a time."""
        return self._cluster.slots(threads) if self._cluster else 1

    def run(self, request: dict[str, Any], needs: Needs) -> Ended:
        """Run a command and wait for its end."""
        if self._cluster is None:
            return self._forkserver.run(request)
        return self._cluster.run(request, needs)

    def stop(self) -> None:
        """End all commands at once; none starts after that."""
        self._forkserver.close()
        if self._cluster is not None:
            self._cluster.stop()

    def close(self) -> None:
        """End everything."""
        self.stop()
        if self._cluster is not None:
            self._cluster.close()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        self._temporary.cleanup()
