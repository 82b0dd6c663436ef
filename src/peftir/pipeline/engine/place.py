"""The folder of ``peftir repro`` in a project, and its locks."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from peftir.system.errors import PeftirError

FOLDER = Path(".dvc/tmp/peftir")
DVC_LOCK = Path(".dvc/tmp/rwlock")
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


def add_error(log: Path, message: str) -> None:
    """Append an error to ``log``, as commands write theirs."""
    with log.open("a", encoding="utf-8") as file:
        file.write(f"error: {message}\n")


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
        _remove_damaged_lock()
        yield


def _remove_damaged_lock() -> None:
    """Remove DVC's lock file if a kill left it half-written: DVC would refuse every command.

    A ``dvc`` command that runs beside this one writes it in a moment, so it is read more than once.
    """
    for _ in range(5):
        try:
            json.loads(DVC_LOCK.read_text(encoding="utf-8"))
            return
        except FileNotFoundError:
            return
        except ValueError:
            time.sleep(0.1)
    DVC_LOCK.unlink(missing_ok=True)


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
