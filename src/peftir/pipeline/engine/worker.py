"""The forkserver of this machine: starting it, giving it commands, ending it."""

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
class Ended:
    """How a command ended: its exit code (minus the signal that killed it) and its peak memory in KB."""

    code: int
    peak: int = 0


class Forkserver:
    """A forkserver that starts at once and, should it be killed, again for the next command.

    Args:
        environment: what it and the libraries start with.
        libraries: what it imports.
        place: what its socket's path begins with, in a folder of this machine; at most 90 bytes.
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
        """The path of the socket that takes commands."""
        with self._lock:
            if self._process.poll() is not None and not self._closed:
                self._start()
            return self._path

    def is_ready(self) -> bool:
        """Whether it has imported the libraries."""
        return Path(f"{self._path}{READY}").exists()

    def run(self, request: dict[str, Any]) -> Ended:
        """Run a command and wait for its end."""
        return ask(self.socket(), request)

    def close(self) -> None:
        """End all commands and the forkserver."""
        with self._lock:
            self._closed = True
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:  # it still imports, and has no children
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


def ask(path: str, request: dict[str, Any]) -> Ended:
    """Let the forkserver at the socket ``path`` run a command, which ends with this process if not before."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(json.dumps(request).encode() + os.linesep.encode())
            line = connection.makefile("rb").readline()
        except OSError:
            line = b""
    if not line:  # the forkserver itself was killed, or closed
        return Ended(-9)
    return Ended(**json.loads(line))
