"""Forkserver: a process with the libraries imported, which forks a child for each stage's command.

Importing torch and the libraries on top of it takes most of a stage's start-up time. This process imports
them once and computes nothing, so each child equals a new process: no random numbers drawn, no threads
started. The project's own modules are imported by the child.

A request is a line of JSON on a connection to the socket. The response is another, sent when the command has
ended. Closing the connection before that kills the command. All children end with this process. This process
ends when its standard input is closed, which is a pipe held by its owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import shlex
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn, cast

from peftir.system.threads import before_imports

# Third-party modules only: those that stages import and that take long.
LIBRARIES = (
    "torch",
    "transformers",
    "sentence_transformers",
    "peft",
    "pandas",
    "pyarrow.parquet",
    "faiss",
    "scipy.stats",
    "ir_measures",
    "pydantic",
    "jinja2",
    "matplotlib",
    "dvclive",
)
FORKS = sys.platform == "linux"  # macOS libraries do not support a fork without an exec
READY = ".ready"  # suffix of a file beside the socket, written after the imports


class Server:
    """Single-threaded event loop that forks children and reports their exit."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Handle requests until the owner closes standard input."""
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.own = (reader, writer)
        for file in (0, reader, self.listener):
            self.selector.register(file, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj == 0:
                    return
                if key.fileobj == reader:
                    os.read(reader, 4096)
                elif key.fileobj is self.listener:
                    connection, _ = self.listener.accept()
                    self.selector.register(connection, selectors.EVENT_READ)
                else:
                    self._handle_request(key.fileobj)  # type: ignore[arg-type]
            self._report_finished()

    def end_all(self) -> None:
        """Kill all children and the processes that they have started."""
        for child in self.children:
            _kill(child)

    def _handle_request(self, connection: socket.socket) -> None:
        """Start the command that a connection requests; kill it when the connection closes."""
        running = next((child for child, owner in self.children.items() if owner is connection), None)
        line = b"" if running else connection.makefile("rb").readline()
        if running or not line:
            self.selector.unregister(connection)
            connection.close()
            if running:
                _kill(running)
            return
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            self._run_child(request)
        self.children[child] = connection

    def _run_child(self, request: dict[str, Any]) -> NoReturn:
        """In the child: close the server's files and run the command."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for connection in (self.listener, *self.children.values()):
                connection.close()
            for file in self.own:
                os.close(file)
            self.selector.close()
            code = _run(request)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _report_finished(self) -> None:
        """Send the exit code and peak memory of each finished child to its connection."""
        for child in list(self.children):
            finished, status, usage = os.wait4(child, os.WNOHANG)
            if not finished:
                continue
            _kill(child)  # processes that it started
            connection = self.children.pop(child)
            answer = {"code": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss}
            with contextlib.suppress(OSError, KeyError, ValueError):  # the client may be gone
                self.selector.unregister(connection)
                connection.sendall(json.dumps(answer).encode() + b"\n")
            connection.close()


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _run(request: dict[str, Any]) -> int:
    """Run the request's command in this process; return its exit code."""
    os.setsid()
    # Locked until this command and its children have ended: a driver waits for the commands of a killed one.
    running = os.open(request["running"], os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(running, fcntl.LOCK_SH)
    os.set_inheritable(running, True)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    script = _script(request["command"])
    if script is None:
        shell = os.environ.get("SHELL", "/bin/sh")
        os.execv(shell, [shell, "-c", request["command"]])
    sys.argv[:] = script
    sys.path[0] = os.path.dirname(os.path.abspath(script[0]))  # noqa: PTH100, PTH120
    for name in [name for name in sys.modules if name.split(".")[0] == "peftir"]:
        del sys.modules[name]
    cast(io.TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)
    try:
        runpy.run_path(script[0], run_name="__main__")
        code: object = 0
    except SystemExit as exit:
        code = exit.code
    except BaseException:
        traceback.print_exc()
        code = 1
    return _end(code)


def _script(command: str) -> list[str] | None:
    """The script and its arguments, if the command is just ``python SCRIPT ARGUMENT …``."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    plain = FORKS and len(words) > 1 and words[0] == "python" and words[1].endswith(".py")
    return words[1:] if plain and not set(command) & set("|&;<>()$`\\\"'*?[#~%\n") else None


def _end(code: object) -> int:
    """Run the exit steps of Python without finalizing the interpreter; return the exit code."""
    import atexit
    import threading

    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


def main() -> None:
    """Import the libraries and serve on a socket; arguments: its descriptor, its path, the libraries."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
    before_imports()
    # Counting GPUs must not initialize CUDA before the fork.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    gc.disable()
    for name in sys.argv[3:]:
        with contextlib.suppress(Exception):  # the stage that needs it reports the error
            importlib.import_module(name)
    gc.freeze()
    gc.enable()
    open(f"{sys.argv[2]}{READY}", "x").close()  # noqa: PTH123
    server = Server(listener)
    try:
        server.serve()
    finally:
        server.end_all()


if __name__ == "__main__":
    main()
