"""Questions to git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from peftir.system.errors import PeftirError


def ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """What ``git`` says in ``folder``; whether it could answer is for the caller to look at.

    Raises:
        PeftirError: there is no git, or it gives no answers in a repository that belongs to another user.
    """
    environment = os.environ | {"LC_ALL": "C"}  # its messages in English
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
    """The nearest of ``folder`` and the folders around it that has a ``.git``; ``folder`` if none has."""
    inside = folder.resolve()
    return next((each for each in (inside, *inside.parents) if (each / ".git").exists()), inside)
