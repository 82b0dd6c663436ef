"""How a stage's command gets from DVC to the workers.

DVC starts ``$SHELL -c COMMAND`` and waits. While this listens, ``$SHELL`` is a program that hands the command
over and waits for the exit code.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SHELL = Path(__file__).with_name("shell.py")
# Gets the stage's name and its request (command, folder, environment), gives the exit code.
RunCommand = Callable[[str, dict[str, Any]], int]


@contextmanager
def handed_to(
    run: RunCommand, folder: Path, place: Path, users: dict[str, str], ours: frozenset[str]
) -> Iterator[None]:
    """Let ``run`` take the commands that DVC starts in this process.

    Args:
        run: called in a thread of its own for each command.
        folder: where a program can be written.
        place: where a socket can be.
        users: the environment as it was when this program started.
        ours: names of variables that this program has set since, which commands get as they were.
    """
    program = folder / "shell"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{SHELL}" "$@"\n')
    program.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "commands"))
        listener.listen(64)
        os.environ |= {"SHELL": str(program), "PEFTIR_COMMANDS": str(place / "commands")}
        ours |= {"SHELL", "PEFTIR_COMMANDS"}
        before = {name: users[name] for name in ours if name in users}
        threading.Thread(target=_listen, args=(listener, run, before, ours), daemon=True).start()
        try:
            yield
        finally:
            os.environ.pop("PEFTIR_COMMANDS")
            with suppress(OSError):  # macOS says that nobody is connected, and ends the waiting all the same
                listener.shutdown(socket.SHUT_RDWR)


def _listen(listener: socket.socket, run: RunCommand, before: dict[str, str], ours: frozenset[str]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # closed
            return
        threading.Thread(target=_serve, args=(connection, run, before, ours), daemon=True).start()


def _serve(connection: socket.socket, run: RunCommand, before: dict[str, str], ours: frozenset[str]) -> None:
    with connection:
        request = json.loads(connection.makefile("rb").readline())
        given = {name: value for name, value in request["environment"].items() if name not in ours}
        request["environment"] = given | before
        code = run(given["DVC_STAGE"], request)
        with suppress(OSError):  # DVC may be gone
            # As a shell says it: 128 and the signal's number.
            connection.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
