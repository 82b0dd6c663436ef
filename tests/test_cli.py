"""The command peftir, as a shell runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def peftir(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    search = path if path is not None else f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [BIN / "peftir", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": search},
    )


def test_help_lists_the_commands_and_gives_an_example() -> None:
    done = peftir("--help")
    assert done.returncode == 0
    assert "doctor" in done.stdout and "example: peftir doctor" in done.stdout
    assert "example: peftir doctor --quiet" in peftir("doctor", "--help").stdout


@pytest.mark.parametrize("command", [["--help"], ["doctor"], ["count"], ["repro", "--dry-run"], ["serve"]])
def test_where_the_library_alone_is_installed_a_line_says_so(command: list[str], tmp_path: Path) -> None:
    others = ("ruamel", "pydantic", "dvc", "pandas", "pyarrow", "datasets", "starlette")
    program = f"""
import sys
sys.modules.update(dict.fromkeys({others}))
sys.argv = {["peftir", *command]}
from peftir.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if command == ["--help"]:
        assert done.returncode == 0 and "doctor" in done.stdout
    else:
        assert done.returncode == 1 and done.stdout == ""
        [line] = done.stderr.splitlines()
        assert line.startswith("error: ") and "is not installed; a study needs `pip install" in line


def test_doctor_exits_with_0_if_the_study_can_run() -> None:
    done = peftir("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok    Java ")
    quiet = peftir("doctor", "--quiet")
    assert quiet.returncode == 0
    assert [line for line in quiet.stdout.splitlines() if line.startswith(("ok", "fail"))] == []


def test_doctor_exits_with_1_if_it_cannot() -> None:
    done = peftir("doctor", "--quiet", path="/nonexistent")
    assert done.returncode == 1
    assert "fail  dvc       dvc is not on PATH" in done.stdout


def test_check_exits_with_1_at_a_problem_and_with_json_on_request(tmp_path: Path) -> None:
    for name in ("corpus", "queries"):
        (tmp_path / f"{name}.jsonl").write_text('{"_id": "1", "text": "a text"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("1\t1\t1\n")
    done = peftir("check", f"beir:{tmp_path}", "--json")
    findings = json.loads(done.stdout)
    assert (done.returncode, findings["documents"], len(findings["problems"])) == (1, 1, 1)
    assert findings["lengths"]["document"]["longest"] == 4  # [CLS] a text [SEP]


def test_no_command_and_an_unknown_one_show_the_usage() -> None:
    for arguments in ([], ["docter"]):
        done = peftir(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: peftir")
