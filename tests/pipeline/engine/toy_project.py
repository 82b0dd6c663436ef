"""A DVC project of fourteen small stages, and the commands that a user runs in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

STAGES = """
stages:
  prepare:
    cmd: python stages/work.py prepare
    deps: [stages/work.py, input.txt]
    outs: [data/prepared]
  train:
    matrix: {variant: "${variants}", seed: "${seeds}"}
    cmd: python stages/work.py train ${item.variant}-${item.seed}
    deps: [stages/work.py, data/prepared]
    params: [rate, "methods.${item.variant}"]
    outs: ["models/${item.variant}-${item.seed}", "metrics/resources/train/${item.variant}-${item.seed}.json"]
  index:
    matrix: {variant: "${variants}", seed: "${seeds}"}
    cmd: python stages/work.py index ${item.variant}-${item.seed}
    deps: [stages/work.py, "models/${item.variant}-${item.seed}"]
    outs: ["index/${item.variant}-${item.seed}"]
  evaluate:
    cmd: echo shell > metrics/shell.txt && python stages/work.py evaluate
    deps: [stages/work.py, index]
    outs: [metrics/shell.txt]
    metrics: [{metrics/all.json: {cache: false}}]
"""

WORK = """
import hashlib, json, os, pathlib, signal, subprocess, sys, time

def content(path):
    path = pathlib.Path(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return b"".join(str(file).encode() + file.read_bytes() for file in files if file.is_file())

def write(path, *read):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(hashlib.md5(b"".join(map(content, read))).hexdigest() + "\\n")

def main():
    stage, name = (*sys.argv[1:], "")[:2]
    print(stage, name, "runs in", os.environ["DVC_STAGE"])
    trouble = pathlib.Path("trouble", f"{stage}{name}")
    if trouble.exists():
        exec(trouble.read_text())
    if stage == "prepare":
        write("data/prepared/a.txt", "input.txt")
    elif stage == "train":
        write(f"models/{name}/weights", "data/prepared", "params.yaml")
        resources = pathlib.Path("metrics/resources/train", name + ".json")
        resources.parent.mkdir(parents=True, exist_ok=True)
        resources.write_text(json.dumps({"seconds": 1.5, "peak_memory_mb": 20}))
    elif stage == "index":
        write(f"index/{name}/vectors", f"models/{name}")
    else:
        write("metrics/all.json", "index")
        pathlib.Path("metrics/all.json").write_text(json.dumps({"score": len(content("index"))}))

if __name__ == "__main__":
    main()
"""

PARAMS: dict[str, Any] = {
    "variants": ["c", "b", "a"],
    "seeds": [3, 1],
    "rate": 1,
    "methods": {"a": 1, "b": 1, "c": 1},
}
# Seconds that a stage needs to notice something, or a machine to do it.
PATIENCE = 120


class Project:
    """A folder with the project in it."""

    def __init__(self, root: Path, new: bool = True) -> None:
        self.root = root
        if not new:
            return
        (root / "stages").mkdir(parents=True)
        (root / "stages/work.py").write_text(WORK)
        (root / "dvc.yaml").write_text(STAGES)
        (root / "input.txt").write_text("documents")
        # Else DVC writes such files into the folders of outputs, in the order of their recording.
        (root / ".gitignore").write_text("/data/\n/models/\n/index/\n/metrics/\n")
        self.set()
        for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
            self.run(*command)

    def copy(self, root: Path) -> Project:
        """The same project in another folder, cache and all."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root, new=False)

    def set(self, **changes: Any) -> None:
        """Write ``params.yaml`` with these changes."""
        (self.root / "params.yaml").write_text(yaml.safe_dump(PARAMS | changes, sort_keys=False))

    def trouble(self, stage: str, code: str) -> Path:
        """Let a stage's script run ``code`` first; gives the file that says so."""
        file = self.root / "trouble" / stage
        file.parent.mkdir(exist_ok=True)
        file.write_text(code)
        return file

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the project, in a session of its own."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; how it ended is for the test to look at."""
        return subprocess.run(
            command, cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False
        )

    def repro(self, *options: str, code: int = 0) -> str:
        """``peftir repro``, which has to end with ``code``; gives what it printed."""
        done = self.run("python", "-m", "peftir.cli", "repro", *options)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def dvc(self, *arguments: str) -> str:
        """A dvc command that must succeed; gives what it printed."""
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "DVC_SITE_CACHE_DIR": str(
                self.root / ".dvc/tmp/site"
            ),  # not where the user's own projects keep theirs
        }

    def lock(self) -> str:
        """What dvc.lock says."""
        file = self.root / "dvc.lock"
        return file.read_text() if file.exists() else ""

    def cached(self) -> set[str]:
        """The names of the files in DVC's cache, that of runs too."""
        return {
            str(path.relative_to(self.root))
            for path in (self.root / ".dvc/cache").rglob("*")
            if path.is_file()
        }

    def is_clean(self) -> bool:
        """Whether DVC sees nothing to do."""
        return "up to date" in self.dvc("status")
