"""Queued experiments share the GPUs of three Ray nodes on this machine, which only count them.

Each node is a raylet with one GPU and a HOME of its own. Prints when each training had which GPU.
Takes minutes, so it is no part of the suite.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nodes import RayNodes

from structure import ROOT

PIPELINE = """
stages:
  prepare:
    cmd: echo prepared > data.txt
    outs: [data.txt]
  train:
    cmd: python train.py
    deps: [train.py, data.txt]
    params: [threads, rate]
    outs: [model.txt]
"""
TRAIN = """
import os, time
gpu = os.path.basename(os.environ["HOME"]) + ":" + os.environ["CUDA_VISIBLE_DEVICES"]
start = time.time()
time.sleep(10)
with open(os.environ["USED"], "a") as used:
    used.write(f"{gpu} {start} {time.time()}\\n")
with open("model.txt", "w") as model, open("params.yaml") as params:
    model.write(params.read())
print("trained on", gpu)
"""
RATES = [2, 3, 4, 5]


def main() -> int:
    """Run the experiments; give the number of pairs that were on one GPU at a time."""
    with tempfile.TemporaryDirectory(prefix="n") as folder:
        used, root = Path(folder) / "used", Path(folder) / "study"
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}/src", "USED": str(used)}
        nodes = RayNodes(Path(folder), environment, 3)
        try:
            write_project(root)
            queue(root, nodes)
        finally:
            nodes.close()
        lines = [line.split() for line in sorted(used.read_text().splitlines())]
        for gpu, start, end in lines:
            print(f"{gpu} from {float(start) % 1000:.1f} to {float(end) % 1000:.1f} s")
    shared = sum(
        a[0] == b[0] and float(a[1]) < float(b[2]) and float(b[1]) < float(a[2])
        for a, b in itertools.combinations(lines, 2)
    )
    print(f"{len(lines)} of {len(RATES)} trainings; {shared} pairs shared a GPU")
    return shared + len(RATES) - len(lines)


def write_project(root: Path) -> None:
    """A committed DVC project with one training."""
    root.mkdir()
    files = {"dvc.yaml": PIPELINE, "train.py": TRAIN, "params.yaml": "threads: 1\nrate: 1\n"}
    for name, content in {**files, ".gitignore": "/data.txt\n/model.txt\n"}.items():
        (root / name).write_text(content)
    user = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=root, check=True)
    subprocess.run(["git", *user, "commit", "-qm", "toy"], cwd=root, check=True)


def queue(root: Path, nodes: RayNodes) -> None:
    """Queue an experiment a rate, start the workers and wait for all."""
    rates = ",".join(map(str, RATES))
    subprocess.run(["dvc", "exp", "run", "--queue", "-q", "-S", f"rate={rates}"], cwd=root, check=True)
    start = ["peftir", "cluster", "--address", nodes.address, "dvc", "queue", "start", "-j", str(len(RATES))]
    subprocess.run(start, cwd=root, env=nodes.environment, check=True)
    while True:
        time.sleep(5)
        status = subprocess.run(
            ["dvc", "queue", "status"], cwd=root, capture_output=True, text=True, check=True
        )
        if not {"Queued", "Running"} & set(status.stdout.split()):
            print(status.stdout)
            return


if __name__ == "__main__":
    sys.exit(main())
