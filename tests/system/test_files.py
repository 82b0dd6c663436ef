"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
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


def test_what_a_kill_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "folder.partial"
    left.mkdir()
    (left / "half").touch()
    with replacing(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "whole").touch()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["folder", "whole"]


def test_a_kill_in_the_middle_of_the_exchange_is_cleared_away_too(tmp_path: Path) -> None:
    for left in ("folder.partial", "folder.old.partial"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "half").touch()
    with replacing(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "whole").touch()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["folder", "whole"]


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
