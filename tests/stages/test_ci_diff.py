"""`make ci-diff` in a scratch repository with a folder as DVC remote, and the comment that it ends in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from small_study import ROOT, Study, environment

from repro_output import stages_run
from synthetic_repository import Repository

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")

# Keeps the comments of pull request 7 as files, and finds or replaces them as GitHub would.
GH = """#!/usr/bin/env python
import json, os, pathlib, subprocess, sys
kept = pathlib.Path(os.environ["COMMENTS"])
method = sys.argv[sys.argv.index("--method") + 1] if "--method" in sys.argv else "GET"
path = next(word for word in sys.argv if word.startswith("repos/"))
if method == "GET":
    assert path == "repos/owner/study/issues/7/comments", path
    found = [
        {"id": int(file.stem), "body": file.read_text(), "user": {"login": file.suffix[1:]}}
        for file in sorted(kept.iterdir())
    ]
    query = sys.argv[sys.argv.index("--jq") + 1]
    raise SystemExit(subprocess.run(["jq", "-r", query], input=json.dumps(found), text=True).returncode)
body = next(word for word in sys.argv if word.startswith("body=@")).removeprefix("body=@")
name = path.rpartition("/")[2] if method == "PATCH" else str(100 + len(list(kept.iterdir())))
assert path == "repos/owner/study/issues/" + ("comments/" + name if method == "PATCH" else "7/comments")
(kept / (name + ".github-actions[bot]")).write_text(pathlib.Path(body).read_text())
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
    others = {
        "98.someone": "<!-- peftir metrics diff -->\nWritten by a person.",
        "99.github-actions[bot]": "Another workflow's, <!-- peftir metrics diff --> in its midst.",
    }
    for name, text in others.items():
        (comments / name).write_text(text)
    for text in ("first", "second"):
        (tmp_path / "comment.md").write_text(f"<!-- peftir metrics diff -->\n{text}\n")
        subprocess.run([ROOT / ".ci/comment", "7", tmp_path / "comment.md"], env=around, check=True)
    kept = {file.name: file.read_text() for file in comments.iterdir()}
    assert kept.pop("102.github-actions[bot]") == "<!-- peftir metrics diff -->\nsecond\n"
    assert kept == others


@pytest.fixture
def bare(tmp_path: Path) -> Study:
    """A repository with the script and DVC in it, and neither stages nor a remote."""
    root = tmp_path / "bare"
    shutil.copytree(ROOT / ".ci", root / ".ci")
    (root / "dvc.yaml").write_text("stages: {}\n")
    study = Study(root, environment(root, models=tmp_path) | {"PYTHONPATH": str(ROOT / "src")})
    for command in (
        (*GIT, "init", "--quiet", "--initial-branch=main"),
        ("dvc", "init", "--quiet"),
        (*GIT, "add", "."),
        (*GIT, "commit", "--quiet", "--message", "Nothing run"),
    ):
        done = study.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    return study


def test_no_remote_is_no_remote_and_an_older_comment_is_not_this_ones(bare: Study) -> None:
    for around in ({}, {"BASE": "mian"}, {"STALE": "never"}):
        (bare.root / "ci-diff/plots").mkdir(parents=True)
        for name in ("comment.md", "diff.md", "plots/index.html"):
            (bare.root / "ci-diff" / name).write_text("of an earlier run")
        done = bare.run(".ci/metrics-diff", **around)
        assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("error: ")
        assert ("no default DVC remote" in done.stdout) == (around == {})
        assert "dvc push" not in done.stderr
        assert list((bare.root / "ci-diff").iterdir()) == []
        (bare.root / "ci-diff").rmdir()


def test_what_is_compared_ends_in_a_comment(bare: Study) -> None:
    repository = Repository(bare.root)
    before = repository.commit([13])
    repository.commit([13], quality={"lora": -6}, changes={"bm25": {"k1": 1.2}})
    done = bare.run(".ci/metrics-diff", BASE=before)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"error: worse than {before} by more than noise: see ci-diff/"
    )
    comment = (bare.root / "ci-diff/comment.md").read_text()
    assert comment.startswith("<!-- peftir metrics diff -->\n**`")
    assert "| `bm25.k1` | `0.9` | `1.2` |" in comment and "worse |" in comment
    _, _, more = comment.partition("<details><summary><code>dvc metrics diff</code></summary>\n\n")
    *shown, _, last = more.splitlines()
    assert last == "</details>" and all(line.startswith("    ") for line in shown)
    assert sorted(file.name for file in (bare.root / "ci-diff").iterdir() if file.is_file()) == ["comment.md"]


def test_the_job_with_rights_runs_nothing_of_the_pull_requests() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/metrics-diff.yml").read_text())["jobs"]
    assert jobs["diff"]["permissions"] == {"contents": "read"}
    checkout, *_ = jobs["comment"]["steps"]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"


@pytest.mark.parametrize("file", sorted((ROOT / ".github/workflows").iterdir()), ids=lambda file: file.name)
def test_no_workflow_pastes_an_expression_into_a_script(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert content["permissions"] in ({}, {"contents": "read"})
    scripts = [step["run"] for job in content["jobs"].values() for step in job["steps"] if "run" in step]
    assert scripts and not [script for script in scripts if "${{" in script]


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
    assert "Running stage" not in done.stdout and stages_run(done.stdout) == []
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
    assert stages_run(done.stdout) == ["evaluate", "report"]
    assert "| `measures.retrieval` |" in comment.read_text()

    # Worse by more than noise.
    newcomer.set_params({"index": {"factory": "PCA1,Flat"}})
    commit(newcomer, "Keep one number of each vector")
    done = newcomer.run(".ci/metrics-diff", STALE="run")
    assert done.returncode == 1, done.stdout
    assert "error: worse than main by more than noise: see ci-diff/comment.md" in done.stderr
    assert "| `zero_shot` | `RR@10` |" in comment.read_text()


@pytest.mark.pipeline
def test_what_is_missing_is_said(newcomer: Study, tmp_path: Path) -> None:
    done = newcomer.run(".ci/metrics-diff", BASE="mian")
    assert "error: BASE=mian: neither it nor origin/mian is a commit in this clone" in done.stderr
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    done = newcomer.run(".ci/metrics-diff")
    assert "error: the outputs that dvc.lock names are not all in the remote" in done.stderr
    assert done.returncode == 1
    assert not (newcomer.root / "ci-diff").exists()
