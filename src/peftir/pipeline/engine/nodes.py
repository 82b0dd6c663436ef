"""What runs in the processes of a Ray cluster's nodes: forkservers, and the tasks that use them."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

from peftir.pipeline.engine.worker import Forkserver, ask
from peftir.system.errors import PeftirError

# Variables of a command that are the node's, not those of the machine where the command was requested.
NODE_VARIABLES = ("HOME", "USER", "LOGNAME", "HOSTNAME", "TMPDIR", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")


class NotReady(Exception):
    """The node joined after the list of sockets was made."""


class Host:
    """Ray actor that owns a node's forkserver."""

    def __init__(self, environment: dict[str, str], libraries: tuple[str, ...]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="peftir-")
        place = Path(self._folder.name) / "libraries"
        self._forkserver = Forkserver({**environment, **_node_variables()}, libraries, place)

    def socket(self) -> str:
        """The path of the forkserver's socket."""
        return self._forkserver.socket()

    def reads(self, path: str) -> str | None:
        """The content of a file as this node sees it, or None."""
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError:
            return None


def run_on_node(request: dict[str, Any], sockets: dict[str, str] | None) -> tuple[int, int]:
    """Ray task: run the command in this node's forkserver; return its exit code and peak memory in KB.

    Args:
        request: the command, as for :func:`peftir.pipeline.engine.worker.ask`.
        sockets: of the forkservers, by node; None to start one for this command.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    request = {**request, "environment": {**request["environment"], **_node_variables()}}
    if sockets is not None:
        if node not in sockets:
            raise NotReady(node)
        return astuple(ask(sockets[node], request))
    if not Path(request["log"]).is_file():
        raise PeftirError(not_shared(ray.util.get_node_ip_address(), request["folder"]))
    with (
        tempfile.TemporaryDirectory(prefix="peftir-") as folder,
        closing(Forkserver(dict(os.environ), (), Path(folder) / "bare")) as forkserver,
    ):
        return astuple(forkserver.run(request))


def not_shared(node: str, folder: str) -> str:
    """The message for a ``node`` without the project's ``folder``."""
    return (
        f"node {node}: does not see {folder}; expected the project's folder at the same path on all nodes, "
        "on a disk that they share"
    )


def rendezvous() -> tuple[str, int]:
    """Ray task: this node's address, and a port that is free on it."""
    import ray

    with socket.socket() as listener:
        listener.bind(("", 0))
        return ray.util.get_node_ip_address(), listener.getsockname()[1]


def _node_variables() -> dict[str, str]:
    return {name: os.environ[name] for name in NODE_VARIABLES if name in os.environ}
