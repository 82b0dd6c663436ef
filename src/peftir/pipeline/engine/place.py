"""The folder of ``peftir repro`` in a project, and who may work there."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from peftir.system.errors import PeftirError

FOLDER = Path(".dvc/tmp/peftir")
RUNNING = FOLDER / "running"  # locked by every command while it runs
PATIENCE = 30.0  # seconds for the commands of a call that was killed to be gone


def log_of(stage: str) -> Path:
    """Where what a stage's command prints goes."""
    return FOLDER / "logs" / f"{stage.replace('/', '_')}.log"


def last_error(log: Path) -> str | None:
    """The line of ``log`` that says what went wrong, if there is one."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    errors = [line for line in lines if line.startswith("error: ")] or [line for line in lines if line]
    return errors[-1].removeprefix("error: ") if errors else None


@contextmanager
def to_oneself() -> Iterator[None]:
    """Keep other calls out of the project; wait for the last commands of one that was killed.

    Raises:
        PeftirError: another call is at work, or commands of an earlier one are.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "driver").open("a") as lock, RUNNING.open("a") as commands:
        if not _locked(lock):
            raise PeftirError(
                f"{Path.cwd()}: another peftir repro runs in this project; wait for it or stop it"
            )
        deadline = time.monotonic() + PATIENCE
        while not _locked(commands):
            if time.monotonic() > deadline:
                raise PeftirError(
                    f"{RUNNING.absolute()}: a stage of an earlier peftir repro still runs; wait for it, or "
                    "end it"
                )
            time.sleep(0.2)
        fcntl.flock(commands, fcntl.LOCK_UN)
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def short_folder(longest: int) -> str | None:
    """The folder for temporary ones if its path has at most ``longest`` bytes, else None: the system's."""
    folder = FOLDER.absolute()
    return str(folder) if len(os.fsencode(folder)) <= longest else None
