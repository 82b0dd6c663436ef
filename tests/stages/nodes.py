"""``peftir repro`` over three Ray nodes on this machine: nodes are killed at random moments.

Each node is a raylet with a HOME of its own. The results are compared with those of an undisturbed
``dvc repro``. Takes minutes, so it is no part of the suite.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kills import compared, remove_results, small_study
from small_study import Study

FLAGS = ["--num-cpus=1", "--num-gpus=1", "--object-store-memory=80000000", "--disable-usage-stats", "--block"]


class RayNodes:
    """A Ray cluster of several raylets, the first of which is the head.

    Args:
        folder: for their files.
        environment: variables that they start with.
        count: number of raylets.
    """

    def __init__(self, folder: Path, environment: dict[str, str], count: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.environment = environment | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
        self._folder = folder
        port = self.address.partition(":")[2]
        self._head = self._start(
            "head", ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}/ray"]
        )
        self.others: list[subprocess.Popen[bytes]] = []
        self._started = 0
        for _ in range(count - 1):
            self.add()

    def add(self) -> None:
        """Start another node."""
        self._started += 1
        self.others.append(self._start(f"node{self._started}", [f"--address={self.address}"]))

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """Kill a node: its raylet and what that has started."""
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()
        if node in self.others:
            self.others.remove(node)

    def close(self) -> None:
        """Kill all nodes."""
        for node in (*self.others, self._head):
            self.kill(node)

    def _start(self, name: str, options: list[str]) -> subprocess.Popen[bytes]:
        home = self._folder / name
        home.mkdir()
        with (home / "log").open("wb") as log:
            node = subprocess.Popen(
                ["ray", "start", *options, *FLAGS],
                env=self.environment | {"HOME": str(home)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while "Ray runtime started" not in (home / "log").read_text():
            assert node.poll() is None, (home / "log").read_text()
            time.sleep(0.2)
        return node


def run_over(nodes: RayNodes, study: Study, kill_after: float | None, moments: random.Random) -> float:
    """Run the study over the nodes and return the seconds; after ``kill_after`` seconds kill a node."""
    start = time.monotonic()
    log = study.root / "nodes.log"
    with log.open("wb") as file:
        driver = subprocess.Popen(
            ["peftir", "repro", "--address", nodes.address],
            cwd=study.root,
            env=nodes.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        if kill_after is not None:
            try:
                driver.wait(kill_after)
                print("finished before the kill")
            except subprocess.TimeoutExpired:
                nodes.kill(moments.choice(nodes.others))
        driver.wait()
    if driver.returncode:
        print(log.read_text())
    return time.monotonic() - start


def main() -> int:
    """Print what was killed and what differs; give the number of files that differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: PYTHONPATH=tests:src python tests/stages/nodes.py --kills 5"
    )
    parser.add_argument("--kills", type=int, default=5, help="number of runs with a kill (5)")
    parser.add_argument("--processes", type=int, default=1, help="of trainings, encoding and scoring (1)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    differing = 0
    with tempfile.TemporaryDirectory(prefix="n") as folder:
        undisturbed, study = (small_study(Path(folder), name) for name in ("undisturbed", "over-nodes"))
        for each in (undisturbed, study):
            blocks = ("retriever", "reranker", "index", "reranking")
            each.set_params({block: {"processes": args.processes} for block in blocks})
        undisturbed.dvc("repro")
        nodes = RayNodes(Path(folder), study.environment, 3)
        try:
            longest = run_over(nodes, study, None, moments)
            print(f"three nodes: {longest:.0f} s", flush=True)
            differing += len(compared(study, undisturbed))
            for number in range(args.kills):
                remove_results(study)
                seconds = moments.uniform(0.2, 0.9) * longest
                took = run_over(nodes, study, seconds, moments)
                print(f"{number + 1}: a node killed after {seconds:.0f} s of {took:.0f} s", flush=True)
                differing += len(compared(study, undisturbed))
                nodes.add()
        finally:
            nodes.close()
    return differing


if __name__ == "__main__":
    sys.exit(main())
