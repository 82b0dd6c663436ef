"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from peftir.system.errors import PeftirError, exits_cleanly
from peftir.system.files import replacing, write_json


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with replacing(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with replacing(path) as partial:
            partial.mkdir()
            (partial / name).touch()
    assert [file.name for file in path.iterdir()] == ["new"]


def test_after_an_error_the_old_one_is_still_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, sys
from pathlib import Path
from peftir.system.files import replacing

with replacing(Path(sys.argv[1])) as partial:
    partial.mkdir()
    (partial / "half").touch()
    os._exit(9)
"""


def test_what_a_kill_left_is_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".partial") and (left / "half").exists()
    write_json(tmp_path / "folder.of.another", {})
    assert left.exists()  # not its to clear away
    with replacing(path) as partial:
        partial.mkdir()
        (partial / "whole").touch()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["folder", "folder.of.another", "whole"]


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with replacing(path) as theirs:
        theirs.mkdir()
        with replacing(path) as ours:
            ours.mkdir()
            (ours / "ours").touch()
        assert theirs.is_dir()
        (theirs / "theirs").touch()
    assert [file.name for file in path.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [path]


WRITES_OFTEN = """
import sys, time
from pathlib import Path
from peftir.system.files import replacing, write_json

root, mine = Path(sys.argv[1]), sys.argv[2]
while not (root / "go").exists():
    time.sleep(0.001)
for i in range(100):
    write_json(root / "file", [mine] * 100)
    with replacing(root / "folder") as partial:
        partial.mkdir()
        for name in "abc":
            (partial / name).write_text(mine)
"""


def test_four_processes_that_write_the_same_never_meet(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITES_OFTEN, str(tmp_path)]
    started = [subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE, text=True) for i in range(4)]
    (tmp_path / "go").touch()
    errors = [process.communicate()[1] for process in started]
    assert errors == [""] * 4
    # Each is one process's alone, and nothing else is left.
    assert len(set(json.loads((tmp_path / "file").read_text()))) == 1
    assert len({(tmp_path / "folder" / name).read_text() for name in "abc"}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "go"]


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(PeftirError, match=r"file: the disk is full \(\d+ MB free\)"),
        replacing(tmp_path / "file"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_that_a_library_reports_in_words(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match="the disk is full"), replacing(tmp_path / "file"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")


def test_a_really_full_disk(tmp_path: Path) -> None:
    """/dev/full is a device that has no space left."""
    with (
        pytest.raises(PeftirError, match="the disk is full"),
        replacing(tmp_path / "file"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x" * 10)


def test_a_command_ends_with_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    @exits_cleanly
    def main() -> None:
        raise PeftirError("params.yaml: bm25.k1:\n  'x'")

    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 1
    assert capsys.readouterr().err == "error: params.yaml: bm25.k1: 'x'\n"
