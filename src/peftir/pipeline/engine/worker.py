"""Client of a forkserver on this machine: start it, send it commands, stop it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.pipeline.engine.forkserver import READY


@dataclass(frozen=True)
class CommandResult:
    """A command's exit code (negative: the signal that killed it) and its peak memory in KB."""

    code: int
    peak: int = 0


class Forkserver:
    """A forkserver, started at once and restarted for the next command if it was killed.

    Args:
        environment: of the forkserver process.
        libraries: modules that it imports.
        place: prefix of the path of its socket, on a local disk; at most 90 bytes.
    """

    def __init__(self, environment: dict[str, str], libraries: tuple[str, ...], place: Path) -> None:
        self._environment = environment
        self.libraries = libraries
        self._lock = threading.Lock()
        self._place = place
        self._started = 0
        self._closed = False
        self._start()

    def socket(self) -> str:
        """The path of the socket for requests."""
        with self._lock:
            if self._process.poll() is not None and not self._closed:
                self._start()
            return self._path

    def is_ready(self) -> bool:
        """Whether it has imported the libraries."""
        return Path(f"{self._path}{READY}").exists()

    def run(self, request: dict[str, Any]) -> CommandResult:
        """Run a command, wait for it and return its result."""
        return ask(self.socket(), request)

    def close(self) -> None:
        """Kill all commands and stop the forkserver."""
        with self._lock:
            self._closed = True
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:  # still importing, without children
                self._process.kill()
                self._process.wait()

    def _start(self) -> None:
        self._started += 1
        self._path = f"{self._place}-{self._started}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._path)
            listener.listen(64)
            module = f"{__package__}.forkserver"
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(listener.fileno()), self._path, *self.libraries],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                env=self._environment,
                start_new_session=True,
            )


def ask(path: str, request: dict[str, Any]) -> CommandResult:
    """Run a command in the forkserver at the socket ``path``; it is killed if this process ends first."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(json.dumps(request).encode() + os.linesep.encode())
            line = connection.makefile("rb").readline()
        except OSError:
            line = b""
    if not line:  # the forkserver itself was killed, or closed
        return CommandResult(-9)
    return CommandResult(**json.loads(line))
