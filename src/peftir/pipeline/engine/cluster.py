"""Ray: schedule each stage on a node with enough free threads, GPUs and memory.

The address ``local`` starts a Ray instance for the run: on this machine's loopback interface, with a token
and without a dashboard. Its files are under ``.dvc/tmp`` or, if that path is too long for sockets, in a
temporary folder. Any other address joins a running cluster, whose nodes need the project's folder at the same
path. A Ray task holds its stage's resources while a forkserver of the node runs the command. If the stage has
several processes, each is a task, and the tasks run the same command with the variables of ``torchrun``.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from peftir.pipeline.engine.needs import Needs
from peftir.pipeline.engine.nodes import Host, NotReady, not_shared, rendezvous, run_on_node
from peftir.pipeline.engine.placement import placed
from peftir.pipeline.engine.worker import CommandResult, Forkserver
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
MAX_FOLDER_BYTES = 44  # longest folder path for which the paths of Ray's sockets fit into 107 bytes
MAX_ATTEMPTS = 5  # of a stage whose node died
GRACE = 30.0  # seconds for the other processes of a stage to end after one has failed


def ray_environment() -> dict[str, str]:
    """Environment variables to set before Ray is imported, for an instance that serves this process only."""
    return {**RAY_ENVIRONMENT, TOKEN: secrets.token_hex(32)}


class Cluster:
    """A Ray cluster that runs commands.

    Args:
        address: of a running cluster, as printed by ``ray start``; ``local`` starts Ray for this process.
        folder: a folder that all nodes share.
        local: this machine's forkserver; the other nodes get such a one. None starts one for each command.
        cpus: total number of threads of all commands, if Ray is started here.
        temporary: folder for Ray's files, if Ray is started here.

    Raises:
        PeftirError: Ray is not installed, or no cluster answers at the address.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        local: Forkserver | None,
        cpus: int = 1,
        temporary: Path | None = None,
    ) -> None:
        ray = _import_ray()
        settings: dict[str, Any] = {"address": address}
        remedy = "run this on a node of the cluster, with the address that ray start printed, or with auto"
        if address == LOCAL:
            settings |= {
                "num_cpus": cpus,
                "include_dashboard": False,
                "object_store_memory": 80 * 2**20,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": str(temporary),
            }
            remedy = "--jobs 1 does without it"
        try:
            ray.init(**settings, log_to_driver=False, configure_logging=False, logging_level="error")
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
        self._stopped = False

    def slots(self, threads: int) -> int:
        """The number of commands with ``threads`` threads each that fit at a time."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)) // threads)

    def run(self, request: dict[str, Any], needs: Needs) -> CommandResult:
        """Run a command on nodes with the resources and wait; run it again if a node dies.

        Raises:
            PeftirError: the cluster is too small, or a node does not see the project's folder.
        """
        errors = self._ray.exceptions
        node_lost = (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.RayActorError,
            errors.TaskUnschedulableError,
            errors.ActorUnschedulableError,
            NotReady,
        )
        for attempt in range(MAX_ATTEMPTS):
            try:
                sockets = {self._node: self._local.socket(), **self._other_sockets()} if self._local else None
                with placed(self._ray, needs, lambda: self._stopped) as places:
                    return self._run_in(places, request, sockets)
            except (errors.OutOfMemoryError, InterruptedError):
                return CommandResult(-9)
            except node_lost:
                pass
            except errors.RayTaskError as error:
                if isinstance(error.cause, PeftirError):
                    raise error.cause from error
                if not isinstance(error.cause, node_lost):
                    raise
            if self._stopped:
                break
            time.sleep(2**attempt)  # it takes seconds until the cluster knows that a node is dead
        return CommandResult(-9)

    def _run_in(
        self, places: list[dict[str, Any]], request: dict[str, Any], sockets: dict[str, str] | None
    ) -> CommandResult:
        """Run a command in each of the places; if one of them fails, the others get a moment to end."""
        run = self._ray.remote(max_retries=0)(run_on_node)
        requests = [request]
        if len(places) > 1:
            address, port = self._ray.get(
                self._ray.remote(max_retries=0)(rendezvous).options(**places[0]).remote()
            )
            group = {"WORLD_SIZE": str(len(places)), "MASTER_ADDR": address, "MASTER_PORT": str(port)}
            # Each process sees only its own GPU.
            group |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
            requests = [
                {**request, "environment": {**request["environment"], **group, "RANK": str(rank)}}
                for rank in range(len(places))
            ]
        waiting = [
            run.options(**place).remote(one, sockets) for place, one in zip(places, requests, strict=True)
        ]
        codes, peaks = [0], [0]
        while waiting:
            # Others lose their connection to a killed process: the cause may be reported after the effect.
            done, waiting = self._ray.wait(waiting, timeout=GRACE if any(codes) else None)
            if not done:
                break
            code, peak = self._ray.get(done[0])
            codes.append(code)
            peaks.append(peak)
        return CommandResult(min(codes) or max(codes), max(peaks))

    def stop(self) -> None:
        """Kill the forkservers on other nodes; commands that wait for a place get none."""
        self._stopped = True
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
            sockets = {}
            for name in list(self._hosts):
                try:
                    sockets[name] = self._ray.get(self._hosts[name].socket.remote())
                except self._ray.exceptions.RayActorError:  # the next attempt starts another one
                    self._hosts.pop(name)
                    raise
            return sockets

    def _start_host(self, node: str, address: str) -> Any:
        """Start a forkserver on another node, after a check that the node sees the project's folder."""
        assert self._local is not None
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        token = self._folder / f"{secrets.token_hex(8)}.token"
        token.write_text(node, encoding="utf-8")
        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        actor = self._ray.remote(num_cpus=0, max_restarts=0)(Host)
        host = actor.options(scheduling_strategy=strategy).remote(self._environment, self._local.libraries)
        try:
            if self._ray.get(host.reads.remote(str(token))) != node:
                raise PeftirError(not_shared(address, str(self._folder)))
        finally:
            token.unlink()
        return host


def _import_ray() -> Any:
    try:
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # it warns about a start outside the main thread
    except ImportError as error:
        raise PeftirError(
            "GPUs and --address need Ray: pip install 'peftir[cluster]', or run with --jobs 1"
        ) from error
    return ray
