"""Ray: which stage runs where, so that the threads, GPUs and memory that it asks for are there.

With the address ``local`` a Ray of its own is started for the run: on this machine's loopback interface, with
a token, without a dashboard, its files under ``.dvc/tmp`` or, where that path is too long for sockets,
in a temporary folder. With another address the run joins a cluster that is there, whose nodes see the
project's folder at the same path. A Ray task holds what its stage asks for while a forkserver of that node
runs the command.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.pipeline.engine.worker import Ended, Forkserver, ask
from peftir.system.errors import PeftirError

# Ray reads these when it is imported.
ALONE = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it listens on all interfaces of the machine
    "RAY_USAGE_STATS_ENABLED": "0",
    # A busy machine is not a broken one: by default the driver is ended when Ray takes a minute to start.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_gcs_server_request_timeout_seconds": "600",
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_failure_threshold": "60",
}
LOCAL = "local"
TOKEN = "RAY_AUTH_TOKEN"
OF_A_NODE = ("HOME", "USER", "LOGNAME", "HOSTNAME", "TMPDIR", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
SHORT = 44  # bytes of a folder's path with which Ray's sockets still have paths of 107
MOVES = 5  # how often a stage whose node died is tried elsewhere


@dataclass(frozen=True)
class Needs:
    """What a command asks for: threads, if it computes a GPU where there are any, memory (0: not known)."""

    threads: int
    computing: bool
    memory_mb: int


def environment_alone() -> dict[str, str]:
    """What the environment must say before Ray is imported, where it runs for this process alone."""
    return {**ALONE, TOKEN: secrets.token_hex(32)}


class Cluster:
    """A Ray that runs commands.

    Args:
        address: of a running cluster, as ``ray start`` prints it; ``local`` starts a Ray for this process.
        cpus: how many threads the commands may have together, on a Ray of its own.
        folder: for files that all nodes see.
        temporary: for Ray's own files, on a Ray of its own.
        local: this machine's forkserver.

    Raises:
        PeftirError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str, cpus: int, folder: Path, temporary: Path, local: Forkserver) -> None:
        ray = _import_ray()
        quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "error"}
        settings: dict[str, Any]
        if address == LOCAL:
            settings = {
                "address": "local",
                "num_cpus": cpus,
                "include_dashboard": False,
                "object_store_memory": 80 * 2**20,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": str(temporary),
            }
            mend = "--jobs 1 does without it"
        else:
            settings = {"address": address}
            mend = "run this on a node of the cluster, with the address that ray start printed, or with auto"
        try:
            ray.init(**settings, **quiet)
        except Exception as error:  # of many kinds
            where = f"--address {address}: no Ray {'starts' if address == LOCAL else 'answers there'}"
            raise PeftirError(f"{where}: {error}; {mend}") from error
        self._ray = ray
        self._folder = folder
        self._local = local
        self._here = ray.get_runtime_context().get_node_id()
        self._hosts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._environment = dict(os.environ)
        self._task = ray.remote(max_retries=0)(_run_on_node)

    def slots(self, threads: int) -> int:
        """How many commands with ``threads`` threads it holds at a time."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)) // threads)

    def run(self, request: dict[str, Any], needs: Needs) -> Ended:
        """Run a command on a node that has what it needs, and wait; elsewhere if the node dies."""
        lost = (
            self._ray.exceptions.WorkerCrashedError,
            self._ray.exceptions.NodeDiedError,
            self._ray.exceptions.ActorDiedError,
            self._ray.exceptions.ActorUnavailableError,
            _NotReady,
        )
        for _ in range(MOVES):
            try:
                sockets = {self._here: self._local.socket(), **self._sockets_elsewhere()}
                total = self._ray.cluster_resources()
                task = self._task.options(
                    num_cpus=min(needs.threads, total.get("CPU", 1)),
                    num_gpus=int(needs.computing and total.get("GPU", 0) > 0),
                    memory=min(needs.memory_mb * 2**20, int(total.get("memory", 0) * 0.9)) or None,
                )
                return Ended(*self._ray.get(task.remote(request, sockets)))
            except self._ray.exceptions.OutOfMemoryError:
                return Ended(-9)
            except lost:
                continue
            except self._ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, lost):
                    raise
        return Ended(-9)

    def stop(self) -> None:
        """End what runs on other nodes."""
        for host in self._hosts.values():
            self._ray.kill(host)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def _sockets_elsewhere(self) -> dict[str, str]:
        """The forkservers' sockets on the other nodes, each for processes of that node alone."""
        with self._lock:
            nodes = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
            self._hosts = {name: host for name, host in self._hosts.items() if name in nodes}
            for name in nodes.keys() - self._hosts.keys() - {self._here}:
                self._hosts[name] = self._start_host(name, nodes[name]["NodeManagerAddress"])
            return {name: self._ray.get(host.socket.remote()) for name, host in self._hosts.items()}

    def _start_host(self, node: str, address: str) -> Any:
        """A forkserver on another node, which must see the project's folder."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        token = self._folder / f"{secrets.token_hex(8)}.token"
        token.write_text(node, encoding="utf-8")
        on_node = NodeAffinitySchedulingStrategy(node, soft=False)
        kind = self._ray.remote(num_cpus=0, max_restarts=0)(_Host)
        host = kind.options(scheduling_strategy=on_node).remote(self._environment, self._local.libraries)
        try:
            if self._ray.get(host.reads.remote(str(token))) != node:
                raise PeftirError(
                    f"node {address}: does not see {self._folder}; expected the project's folder at the same "
                    "path on all nodes, on a disk that they share"
                )
        finally:
            token.unlink()
        return host


class _NotReady(Exception):
    """The node has joined a moment ago."""


class _Host:
    """A node's forkserver; it ends with this actor."""

    def __init__(self, environment: dict[str, str], libraries: tuple[str, ...]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="peftir-")
        here = Path(self._folder.name) / "libraries"
        self._forkserver = Forkserver({**environment, **_of_this_node()}, libraries, here)

    def socket(self) -> str:
        return self._forkserver.socket()

    def reads(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError:
            return None


def _run_on_node(request: dict[str, Any], sockets: dict[str, str]) -> tuple[int, int]:
    """What a task does: let this node's forkserver run the command."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    if node not in sockets:
        raise _NotReady(socket.gethostname())
    environment = {**request["environment"], **_of_this_node()}
    ended = ask(sockets[node], {**request, "environment": environment})
    return ended.code, ended.peak


def _of_this_node() -> dict[str, str]:
    return {name: os.environ[name] for name in OF_A_NODE if name in os.environ}


def _import_ray() -> Any:
    try:
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # it warns of starting outside the main thread
    except ImportError as error:
        raise PeftirError(
            "GPUs and --address need Ray: pip install 'peftir[cluster]', or run with --jobs 1"
        ) from error
    return ray
