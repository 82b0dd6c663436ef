"""A small study in a temporary clone of the project, and the commands that a user runs in it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from peftir.models.backbone import link_wheels
from repro_output import stages_run
from structure import ROOT, TRUSTING_GIT

# What a clone has of the working tree, so that changes are tested before they are committed.
TRIED = (".dvcignore", "src", "stages", "dvc.yaml", "params.yaml", "requirements.lock", "backbone.lock")

# Enough for every stage to do its work on real text; far too little to learn anything.
SMALL: dict[str, dict[str, Any]] = {
    "collection": {"documents": 150},
    "bm25": {"depth": 100, "train_depth": 20},
    "variants": {"untrained": ["zero_shot"], "retriever": ["lora"], "reranker": ["iaa_l"]},
    "seeds": {"retriever": [13], "reranker": [13]},
    "retriever": {
        "query_length": 16,
        "document_length": 24,
        "steps": 4,
        "batch_size": 4,
        "negatives_depth": 20,
        "evaluate_every": 2,
        "dev_queries": 8,
        "dev_documents": 40,
    },
    "retrieval": {"depth": 100},
    "reranker": {
        "length": 32,
        "steps": 3,
        "batch_size": 4,
        "negatives": 2,
        "negatives_depth": 20,
        "evaluate_every": 2,
        "dev_queries": 8,
        "dev_depth": 5,
    },
    "reranking": {"depth": 5, "keep": 20},
    "measures": {"retrieval": ["RR@10", "nDCG@10", "R@100"], "reranking": ["RR@10", "nDCG@10"]},
    "learning": {"queries": {"retriever": 3, "reranker": 2}, "points": 3, "iterations": 2},
}


class Study:
    """A clone with a ``params.yaml`` of its own, and the commands that a user runs in it."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        self.environment = environment

    def run(
        self, *command: str, input: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; how it ended is for the test to look at."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | environment,
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )

    def stage(
        self, name: str, model: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a stage's script by hand, for ``model`` (variant-seed) if it runs per model."""
        return self.run(*self.command(name, model), **environment)

    @staticmethod
    def command(name: str, model: str | None = None) -> list[str]:
        """The command line of a stage's script."""
        variant, _, seed = (model or "").rpartition("-")
        options = ["--variant", variant, "--seed", seed] if model else []
        return ["python", f"stages/{name}.py", *options]

    def dvc(self, *arguments: str) -> str:
        """Run a dvc command that must succeed and give what it printed."""
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *arguments: str) -> list[str]:
        """The stages that a ``peftir repro``, which must succeed, ran; one worker imports the libraries."""
        done = self.run("peftir", "repro", "--jobs", "1", *arguments)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return stages_run(done.stdout)

    def bytes_under(self, *paths: str | Path) -> dict[str, bytes]:
        """The content of every file at or under ``paths``, by path within the clone."""
        files = [
            file
            for path in paths
            for file in [self.root / path, *sorted((self.root / path).rglob("*"))]
            if file.is_file()
        ]
        assert files, f"nothing under {paths}"
        return {str(file.relative_to(self.root)): file.read_bytes() for file in files}

    def params(self) -> dict[str, Any]:
        return yaml.safe_load((self.root / "params.yaml").read_text(encoding="utf-8"))

    def set_params(self, blocks: dict[str, dict[str, Any]]) -> None:
        """Update top-level blocks of ``params.yaml``."""
        content = self.params()
        for block, changes in blocks.items():
            content[block] |= changes
        text = yaml.safe_dump(content, sort_keys=False)
        (self.root / "params.yaml").write_text(text, encoding="utf-8")


def clone(folder: Path) -> Path:
    """Clone the project with what has been changed but not committed."""
    upload_pack = " ".join([*map(shlex.quote, TRUSTING_GIT), "upload-pack"])
    subprocess.run(
        [*TRUSTING_GIT, "clone", "--quiet", "--upload-pack", upload_pack, ROOT, folder], check=True
    )
    for name in TRIED:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    listing = [*TRUSTING_GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *TRIED]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    link_wheels(folder)  # as make does
    return folder


def environment(root: Path, models: Path) -> dict[str, str]:
    """What commands in the clone ``root`` run with: its own code, a model cache of its own, no hub.

    Python keeps its bytecode beside the code, as it does for a user.
    """
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root / "src"),
        "HF_HOME": str(models),
        "HF_HUB_OFFLINE": "1",
    }
