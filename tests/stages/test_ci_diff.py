"""`make ci-diff` in a scratch repository with a folder as DVC remote, and the comment that it ends in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_study import ROOT, Study, environment

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")

# Keeps the comments of pull request 7 as files, and finds or replaces them as GitHub would.
GH = """#!/usr/bin/env python
import json, os, pathlib, subprocess, sys
kept = pathlib.Path(os.environ["COMMENTS"])
method = sys.argv[sys.argv.index("--method") + 1] if "--method" in sys.argv else "GET"
path = next(word for word in sys.argv if word.startswith("repos/"))
if method == "GET":
    assert path == "repos/owner/study/issues/7/comments", path
    found = [{"id": int(file.name), "body": file.read_text()} for file in sorted(kept.iterdir())]
    query = sys.argv[sys.argv.index("--jq") + 1]
    raise SystemExit(subprocess.run(["jq", "-r", query], input=json.dumps(found), text=True).returncode)
body = next(word for word in sys.argv if word.startswith("body=@")).removeprefix("body=@")
name = path.rpartition("/")[2] if method == "PATCH" else str(100 + len(list(kept.iterdir())))
assert path == "repos/owner/study/issues/" + ("comments/" + name if method == "PATCH" else "7/comments")
(kept / name).write_text(pathlib.Path(body).read_text())
"""


@pytest.fixture
def comments(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").write_text(GH)
    (tmp_path / "bin/gh").chmod(0o755)
    (tmp_path / "comments").mkdir()
    return tmp_path / "comments"


@pytest.mark.skipif(shutil.which("jq") is None, reason="stands in for gh's own jq")
def test_a_comment_is_posted_once_and_then_replaced(comments: Path, tmp_path: Path) -> None:
    search = (
        f"{comments.parent / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    around = os.environ | {"PATH": search, "COMMENTS": str(comments), "GITHUB_REPOSITORY": "owner/study"}
    (comments / "99").write_text("Another one's comment, <!-- peftir metrics diff --> in its midst.")
    for text in ("first", "second"):
        (tmp_path / "comment.md").write_text(f"<!-- peftir metrics diff -->\n{text}\n")
        subprocess.run([ROOT / ".ci/comment", "7", tmp_path / "comment.md"], env=around, check=True)
    assert sorted(file.name for file in comments.iterdir()) == ["101", "99"]
    assert "second" in (comments / "101").read_text()


@pytest.fixture
def newcomer(broken: Study, tmp_path: Path) -> Iterator[Study]:
    """A fresh clone of the finished study, whose outputs are in a folder that is the DVC remote."""
    for command in (
        (*GIT, "checkout", "--quiet", "-B", "main"),
        ("dvc", "remote", "add", "--default", "store", str(tmp_path / "store")),
        (*GIT, "add", "."),
        (*GIT, "commit", "--quiet", "--message", "The study, run"),
        ("dvc", "push", "--quiet"),
        (*GIT, "clone", "--quiet", str(broken.root), str(tmp_path / "clone")),
        (*GIT, "-C", str(tmp_path / "clone"), "checkout", "--quiet", "-b", "change"),
    ):
        done = broken.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    root = tmp_path / "clone"
    yield Study(root, environment(root, models=Path(broken.environment["HF_HOME"])))
    shutil.rmtree(root)


def commit(study: Study, message: str) -> None:
    done = study.run(*GIT, "commit", "--quiet", "--all", "--message", message)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.pipeline
def test_a_pull_request_is_told_what_it_changes(study: Study, newcomer: Study) -> None:
    comment = newcomer.root / "ci-diff/comment.md"

    # Nothing changed: all is pulled, and nothing runs.
    done = newcomer.run(".ci/metrics-diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage" not in done.stdout
    assert newcomer.bytes_under("models", "runs") == study.bytes_under("models", "runs")
    assert "0 worse, 0 better" in comment.read_text()

    # Params changed and the study not run again: that is said, or mended.
    newcomer.set_params({"measures": {"retrieval": ["RR@10", "R@100", "AP"]}})
    commit(newcomer, "Measure AP")
    done = newcomer.run(".ci/metrics-diff")
    assert done.returncode == 1
    assert "error: dvc.lock is behind: run `dvc repro`" in done.stderr and "evaluate" in done.stdout
    done = newcomer.run(".ci/metrics-diff", STALE="run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train" not in "".join(
        line for line in done.stdout.splitlines() if line.startswith("Running stage")
    )
    assert "| measures.retrieval |" in comment.read_text()

    # Worse by more than noise.
    newcomer.set_params({"retrieval": {"depth": 1}})
    commit(newcomer, "Find one document alone")
    done = newcomer.run(".ci/metrics-diff", STALE="run")
    assert done.returncode == 1, done.stdout
    assert "error: worse than main by more than noise: see ci-diff/comment.md" in done.stderr
    assert "| zero_shot | R@100 |" in comment.read_text()


@pytest.mark.pipeline
def test_what_is_missing_is_said(newcomer: Study, tmp_path: Path) -> None:
    done = newcomer.run(".ci/metrics-diff", BASE="mian")
    assert "error: BASE=mian: neither it nor origin/mian is a commit in this clone" in done.stderr
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    done = newcomer.run(".ci/metrics-diff")
    assert "error: the outputs that dvc.lock names are not all in the remote" in done.stderr
    assert done.returncode == 1
    assert not (newcomer.root / "ci-diff").exists()
