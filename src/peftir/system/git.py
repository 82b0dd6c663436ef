"""Run git commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from peftir.system.errors import PeftirError


def ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``git`` in ``folder``; the caller checks the exit code.

    Raises:
        PeftirError: git is not installed, or refuses a repository that belongs to another user.
    """
    environment = os.environ | {"LC_ALL": "C"}  # English messages
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise PeftirError("git: not found on PATH; install it, revisions are compared with it") from error
    if done.returncode and b"dubious ownership" in done.stderr:
        raise PeftirError(
            f"{folder.resolve()}: this clone belongs to another user, and git gives no answers in it; if you "
            f'trust it, run: git config --global --add safe.directory "{top_of(folder)}"'
        )
    return done


def top_of(folder: Path) -> Path:
    """The nearest of ``folder`` and its parents that contains ``.git``; ``folder`` if none does."""
    inside = folder.resolve()
    return next((each for each in (inside, *inside.parents) if (each / ".git").exists()), inside)
