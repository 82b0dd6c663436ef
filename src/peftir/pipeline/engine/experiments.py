"""``peftir cluster``: a DVC command, such as ``dvc queue start``, whose stages run on a Ray cluster.

DVC starts each stage's command with ``$SHELL``. Here that is this module: it waits until the cluster has free
resources for the stage, runs its command there, and prints its output. So the experiments of a queue share
the GPUs of all nodes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from dvc.repo import Repo

from peftir.pipeline.engine.cluster import Cluster
from peftir.pipeline.engine.needs import needs_of
from peftir.pipeline.engine.place import FOLDER, RUNNING
from peftir.system.errors import PeftirError, exits_cleanly
from peftir.system.orphans import end_with

ADDRESS, SHELL = "PEFTIR_ADDRESS", "PEFTIR_SHELL"


def run_on_cluster(command: Sequence[str], address: str) -> int:
    """Run ``command`` and return its exit code; the stages that it runs, now or later, run on the cluster.

    Args:
        command: with its arguments.
        address: of the cluster.

    Raises:
        PeftirError: there is no project, no cluster or no such command.
    """
    if not Path(".dvc").is_dir():
        raise PeftirError(f"{Path.cwd()}: no .dvc folder; run this in the project's folder")
    if shutil.which(command[0]) is None:
        raise PeftirError(f"{command[0]}: no such command; activate the environment")
    FOLDER.mkdir(parents=True, exist_ok=True)
    Cluster(address, FOLDER.absolute(), None).close()
    program = FOLDER.absolute() / "cluster-shell"
    write_shell(program)
    changes = {ADDRESS: address, SHELL: os.environ.get("SHELL", "/bin/sh"), "SHELL": str(program)}
    return subprocess.run(command, env=os.environ | changes, check=False).returncode


def write_shell(program: Path) -> None:
    """Write the program that runs :func:`main`."""
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {__name__} "$@"\n', encoding="utf-8")
    program.chmod(0o700)


@exits_cleanly
def main() -> None:
    """Run the last argument, a stage's command, on the cluster; exit with its code."""
    end_with(os.getppid())
    environment = dict(os.environ)
    address, environment["SHELL"] = environment.pop(ADDRESS), environment.pop(SHELL)
    command = sys.argv[-1]
    with Repo() as repo:
        needs = needs_of(repo.stage.load_one(name=environment["DVC_STAGE"]))
    if not needs.computing:
        os.execve(environment["SHELL"], [environment["SHELL"], "-c", command], environment)
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = FOLDER.absolute() / f"{secrets.token_hex(8)}.log"
    request = {"command": command, "folder": str(Path.cwd()), "environment": environment}
    request |= {"log": str(log), "running": str(RUNNING.absolute())}
    try:
        with _printed(log), closing(Cluster(address, FOLDER.absolute(), None)) as cluster:
            code = cluster.run(request, needs).code
    except KeyboardInterrupt:
        code = -signal.SIGINT
    sys.exit(code if code >= 0 else 128 - code)


@contextmanager
def _printed(log: Path) -> Iterator[None]:
    """Inside the block, print what is written to ``log``, which is removed at the end."""
    ended = threading.Event()
    log.touch()

    def copy() -> None:
        with log.open("rb") as file:
            while True:
                last = ended.wait(0.2)
                sys.stdout.buffer.write(file.read())
                sys.stdout.buffer.flush()
                if last:
                    return

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        log.unlink()


if __name__ == "__main__":
    main()
