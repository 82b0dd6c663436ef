"""Pass a stage's command from DVC to the workers.

DVC starts ``$SHELL -c COMMAND`` and waits. Here ``$SHELL`` is a small program that sends the command to a
socket of this process and waits for the exit code.
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
# Takes the stage's name and its request (command, folder, environment); returns the exit code.
RunCommand = Callable[[str, dict[str, Any]], int]


@contextmanager
def intercept_commands(
    run: RunCommand, folder: Path, socket_folder: Path, original: dict[str, str], own: frozenset[str]
) -> Iterator[None]:
    """Inside the block, call ``run`` for each command that DVC starts in this process.

    Args:
        run: called in a new thread for each command.
        folder: for the program that replaces the shell.
        socket_folder: for the socket.
        original: the environment in which this process started.
        own: variables that this process has set since; commands get their original values.
    """
    program = folder / "shell"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{SHELL}" "$@"\n')
    program.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_folder / "commands"))
        listener.listen(64)
        os.environ |= {"SHELL": str(program), "PEFTIR_COMMANDS": str(socket_folder / "commands")}
        own |= {"SHELL", "PEFTIR_COMMANDS"}
        restored = {name: original[name] for name in own if name in original}
        threading.Thread(target=_accept_connections, args=(listener, run, restored, own), daemon=True).start()
        try:
            yield
        finally:
            os.environ.pop("PEFTIR_COMMANDS")
            with suppress(OSError):  # macOS reports an error, but accept returns nevertheless
                listener.shutdown(socket.SHUT_RDWR)


def _accept_connections(
    listener: socket.socket, run: RunCommand, restored: dict[str, str], own: frozenset[str]
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # closed
            return
        threading.Thread(
            target=_handle_connection, args=(connection, run, restored, own), daemon=True
        ).start()


def _handle_connection(
    connection: socket.socket, run: RunCommand, restored: dict[str, str], own: frozenset[str]
) -> None:
    with connection:
        request = json.loads(connection.makefile("rb").readline())
        kept = {name: value for name, value in request["environment"].items() if name not in own}
        request["environment"] = kept | restored
        code = run(kept["DVC_STAGE"], request)
        with suppress(OSError):  # DVC may be gone
            # As in a shell: 128 plus the signal's number.
            connection.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
