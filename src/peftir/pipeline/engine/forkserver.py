"""A process that has the libraries in memory and forks a child for each stage's command.

To import torch and what is built on it takes most of the time that a stage needs to start. This process does
it once and computes nothing, so that each child is what a new process would be: the same libraries, nothing
drawn, no threads started. The project's own modules are imported by the child, from what the files say then.

A request is a line of JSON on a connection to the socket, the answer another when the command has ended. Who
closes the connection before that ends the command. All children end with this process, and this process ends
when its standard input does, which is a pipe that its owner holds.
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

# Third parties' alone: what a stage imports first and what takes long.
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
FORKS = sys.platform == "linux"  # libraries of macOS do not bear a fork without an exec
READY = ".ready"  # a file beside the socket


class Server:
    """The loop that forks, waits and answers; it has no thread but its own."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Answer requests until the owner is gone."""
        wake_end, wake = os.pipe()
        for end in (wake_end, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.own = (wake_end, wake)
        for file in (0, wake_end, self.listener):
            self.selector.register(file, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj == 0:
                    return
                if key.fileobj == wake_end:
                    os.read(wake_end, 4096)
                elif key.fileobj is self.listener:
                    connection, _ = self.listener.accept()
                    self.selector.register(connection, selectors.EVENT_READ)
                else:
                    self._hear(key.fileobj)  # type: ignore[arg-type]
            self._answer_for_the_ended()

    def end_all(self) -> None:
        """End every child, with the processes that it has started."""
        for child in self.children:
            _kill(child)

    def _hear(self, connection: socket.socket) -> None:
        """Start what a connection asks for; end it when the connection does."""
        running = next((child for child, request in self.children.items() if request is connection), None)
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
            self._become(request)
        self.children[child] = connection

    def _become(self, request: dict[str, Any]) -> NoReturn:
        """What a child does: let go of what is the server's, and be the command."""
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

    def _answer_for_the_ended(self) -> None:
        for child in list(self.children):
            ended, status, usage = os.wait4(child, os.WNOHANG)
            if not ended:
                continue
            _kill(child)  # what it started and left
            connection = self.children.pop(child)
            answer = {"code": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss}
            with contextlib.suppress(OSError, KeyError, ValueError):  # perhaps nobody waits for it
                self.selector.unregister(connection)
                connection.sendall(json.dumps(answer).encode() + b"\n")
            connection.close()


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _run(request: dict[str, Any]) -> int:
    """Run the request's command in this process; gives its exit code."""
    os.setsid()
    # Held until this command and what it started have ended: a driver waits for those of one that was killed.
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
    """The script and its arguments, if the command is nothing but ``python SCRIPT ARGUMENT …``."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    plain = FORKS and len(words) > 1 and words[0] == "python" and words[1].endswith(".py")
    return words[1:] if plain and not set(command) & set("|&;<>()$`\\\"'*?[#~%\n") else None


def _end(code: object) -> int:
    """What Python does at the end of a script, short of taking everything apart."""
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
    """Import, and serve on the socket that the command line names, by its descriptor and its path."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
    before_imports()
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # to ask for GPUs must not start CUDA before the fork
    gc.disable()
    for name in sys.argv[3:]:
        with contextlib.suppress(Exception):  # the stage that needs it will say so
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
