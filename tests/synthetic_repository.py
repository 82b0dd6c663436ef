"""A git repository of a study whose metrics are drawn."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from peftir.diff.compare import RevisionComparison, compare
from peftir.diff.digest import write_digest
from peftir.diff.revisions import revision
from synthetic_study import make_params, write_study

QUERIES = 200
TRAINED = ["full", "lora"]


def git(root: Path, *arguments: str) -> str:
    identity = [
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "protocol.file.allow=always",
    ]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class Repository:
    """A repository of a study whose metrics are drawn: each variant has a quality, each training a luck."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        git(root, "init", "--quiet", "--initial-branch=main")
        kept = ["queries.parquet", "spread.tsv", "comparisons.tsv", "variants.json", "learning.json"]
        lines = ["*", "!params.yaml", "!metrics", *(f"!metrics/{name}" for name in kept)]
        (root / ".gitignore").write_text("\n".join(lines) + "\n")

    def state(
        self,
        seeds: list[int],
        *,
        quality: dict[str, float] | None = None,
        luck: float = 0.15,
        variants: list[str] = TRAINED,
        queries: int = QUERIES,
        changes: dict[str, Any] | None = None,
    ) -> None:
        """What evaluate would leave; ``luck`` is how far one training's mean is from another's, in logits."""
        params = make_params(
            self.root,
            variants={"untrained": ["zero_shot"], "retriever": variants, "reranker": variants},
            seeds={"retriever": seeds, "reranker": seeds},
            **(changes or {}),
        )

        def values(task: str, row: str, seed: int, measure: str) -> list[float]:
            hardness = np.random.default_rng([len(task), len(measure)]).normal(size=queries) * 2
            variant = row.removesuffix("+bm25")
            if variant not in ("bm25", "zero_shot"):
                own = np.random.default_rng([seed, len(task), *row.encode()])
                hardness += own.normal() * luck + own.normal(size=queries) + (quality or {}).get(variant, 0)
            return (1 / np.maximum(1, np.exp(1 - hardness).astype(int) + 1)).round(4).tolist()

        write_study(self.root, params, values)
        list(write_digest(self.root, params))

    def commit(self, *arguments: Any, **keywords: Any) -> str:
        self.state(*arguments, **keywords)
        git(self.root, "add", ".")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", "a state")
        return git(self.root, "rev-parse", "HEAD")

    def compare(self, before: str, after: str) -> RevisionComparison:
        return compare(revision(self.root, before), revision(self.root, after))
