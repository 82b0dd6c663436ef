"""Ray: schedule each stage on a node with enough free threads, GPUs and memory.

The address ``local`` starts a Ray instance for the run: on this machine's loopback interface, with a token
and without a dashboard. Its files are under ``.dvc/tmp`` or, if that path is too long for sockets, in a
temporary folder. Any other address joins a running cluster, whose nodes need the project's folder at the same
path. A Ray task holds its stage's resources while a forkserver of the node runs the command.
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

from peftir.pipeline.engine.worker import CommandResult, Forkserver, ask
from peftir.system.errors import PeftirError

# Ray reads these when it is imported.
RAY_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # otherwise Ray listens on all interfaces
    "RAY_USAGE_STATS_ENABLED": "0",
    # By default the driver exits if Ray takes a minute to start, which happens on a busy machine.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_gcs_server_request_timeout_seconds": "600",
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_failure_threshold": "60",
}
LOCAL = "local"
TOKEN = "RAY_AUTH_TOKEN"
NODE_VARIABLES = ("HOME", "USER", "LOGNAME", "HOSTNAME", "TMPDIR", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
MAX_FOLDER_BYTES = 44  # longest folder path for which the paths of Ray's sockets fit into 107 bytes
MAX_ATTEMPTS = 5  # of a stage whose node died


@dataclass(frozen=True)
class Needs:
    """Resources that a command requires: threads, memory (0: unknown), and, if ``computing``, one GPU."""

    threads: int
    computing: bool
    memory_mb: int


def ray_environment() -> dict[str, str]:
    """Environment variables to set before Ray is imported, for an instance that serves this process only."""
    return {**RAY_ENVIRONMENT, TOKEN: secrets.token_hex(32)}


class Cluster:
    """A Ray cluster that runs commands.

    Args:
        address: of a running cluster, as printed by ``ray start``; ``local`` starts Ray for this process.
        cpus: total number of threads of all commands, if Ray is started here.
        folder: a folder that all nodes share.
        temporary: folder for Ray's files, if Ray is started here.
        local: this machine's forkserver.

    Raises:
        PeftirError: Ray is not installed, or no cluster answers at the address.
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
            remedy = "--jobs 1 does without it"
        else:
            settings = {"address": address}
            remedy = (
                "run this on a node of the cluster, with the address that ray start printed, or with auto"
            )
        try:
            ray.init(**settings, **quiet)
        except Exception as error:  # Ray raises many types
            where = f"--address {address}: no Ray {'starts' if address == LOCAL else 'answers there'}"
            raise PeftirError(f"{where}: {error}; {remedy}") from error
        self._ray = ray
        self._folder = folder
        self._local = local
        self._node = ray.get_runtime_context().get_node_id()
        self._hosts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._environment = dict(os.environ)
        self._task = ray.remote(max_retries=0)(_run_on_node)

    def slots(self, threads: int) -> int:
        """The number of commands with ``threads`` threads each that fit at a time."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)) // threads)

    def run(self, request: dict[str, Any], needs: Needs) -> CommandResult:
        """Run a command on a node with the resources and wait; retry on another node if that one dies."""
        node_lost = (
            self._ray.exceptions.WorkerCrashedError,
            self._ray.exceptions.NodeDiedError,
            self._ray.exceptions.ActorDiedError,
            self._ray.exceptions.ActorUnavailableError,
            _NotReady,
        )
        for _ in range(MAX_ATTEMPTS):
            try:
                sockets = {self._node: self._local.socket(), **self._other_sockets()}
                total = self._ray.cluster_resources()
                task = self._task.options(
                    num_cpus=min(needs.threads, total.get("CPU", 1)),
                    num_gpus=int(needs.computing and total.get("GPU", 0) > 0),
                    memory=min(needs.memory_mb * 2**20, int(total.get("memory", 0) * 0.9)) or None,
                )
                return CommandResult(*self._ray.get(task.remote(request, sockets)))
            except self._ray.exceptions.OutOfMemoryError:
                return CommandResult(-9)
            except node_lost:
                continue
            except self._ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, node_lost):
                    raise
        return CommandResult(-9)

    def stop(self) -> None:
        """Kill the forkservers on other nodes."""
        for host in self._hosts.values():
            self._ray.kill(host)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def _other_sockets(self) -> dict[str, str]:
        """The socket path of each other node's forkserver, usable only on that node."""
        with self._lock:
            nodes = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
            self._hosts = {name: host for name, host in self._hosts.items() if name in nodes}
            for name in nodes.keys() - self._hosts.keys() - {self._node}:
                self._hosts[name] = self._start_host(name, nodes[name]["NodeManagerAddress"])
            return {name: self._ray.get(host.socket.remote()) for name, host in self._hosts.items()}

    def _start_host(self, node: str, address: str) -> Any:
        """Start a forkserver on another node, after a check that the node sees the project's folder."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        token = self._folder / f"{secrets.token_hex(8)}.token"
        token.write_text(node, encoding="utf-8")
        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        actor = self._ray.remote(num_cpus=0, max_restarts=0)(_Host)
        host = actor.options(scheduling_strategy=strategy).remote(self._environment, self._local.libraries)
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
    """The node joined after the list of sockets was made."""


class _Host:
    """Ray actor that owns a node's forkserver."""

    def __init__(self, environment: dict[str, str], libraries: tuple[str, ...]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="peftir-")
        place = Path(self._folder.name) / "libraries"
        self._forkserver = Forkserver({**environment, **_node_variables()}, libraries, place)

    def socket(self) -> str:
        return self._forkserver.socket()

    def reads(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError:
            return None


def _run_on_node(request: dict[str, Any], sockets: dict[str, str]) -> tuple[int, int]:
    """Ray task: run the command in this node's forkserver; return its exit code and peak memory in KB."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    if node not in sockets:
        raise _NotReady(socket.gethostname())
    environment = {**request["environment"], **_node_variables()}
    result = ask(sockets[node], {**request, "environment": environment})
    return result.code, result.peak


def _node_variables() -> dict[str, str]:
    return {name: os.environ[name] for name in NODE_VARIABLES if name in os.environ}


def _import_ray() -> Any:
    try:
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # it warns about a start outside the main thread
    except ImportError as error:
        raise PeftirError(
            "GPUs and --address need Ray: pip install 'peftir[cluster]', or run with --jobs 1"
        ) from error
    return ray
