"""The folder of ``peftir repro`` in a project, and its locks."""

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
TIMEOUT = 30.0  # seconds to wait for the commands of a killed call


def log_of(stage: str) -> Path:
    """The log file of a stage's command."""
    return FOLDER / "logs" / f"{stage.replace('/', '_')}.log"


def last_error(log: Path) -> str | None:
    """The last error in ``log``, or else its last line; None if it is empty."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    errors = [line for line in lines if line.startswith("error: ")] or [line for line in lines if line]
    return errors[-1].removeprefix("error: ") if errors else None


@contextmanager
def exclusive_access() -> Iterator[None]:
    """Lock the project for this call; wait for the remaining commands of a killed one.

    Raises:
        PeftirError: another call, or a command of an earlier one, still runs.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "driver").open("a") as driver, RUNNING.open("a") as commands:
        if not _locked(driver):
            raise PeftirError(
                f"{Path.cwd()}: another peftir repro runs in this project; wait for it or stop it"
            )
        deadline = time.monotonic() + TIMEOUT
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
    """``FOLDER`` if its path has at most ``longest`` bytes, else None, for the system's temporary folder."""
    folder = FOLDER.absolute()
    return str(folder) if len(os.fsencode(folder)) <= longest else None
