"""What an error says of a file: only what nothing else explains is damage, and nothing is to be deleted."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from peftir.data.collection import Collection
from peftir.models import saving
from peftir.ranking import bm25, dense
from peftir.ranking.runs import read_run, write_run
from peftir.study.params import load_params
from peftir.system.errors import PeftirError, Trouble, exits_cleanly, reason_of, trouble_of
from peftir.system.files import replacing, unusable
from structure import SRC

NUMBERS = {
    errno.EACCES: Trouble.PERMISSION,
    errno.EPERM: Trouble.PERMISSION,
    errno.EROFS: Trouble.PERMISSION,
    errno.ENOSPC: Trouble.SPACE,
    errno.EDQUOT: Trouble.SPACE,
    errno.ENOENT: Trouble.MISSING,
    errno.EIO: Trouble.MACHINE,
    errno.EMFILE: Trouble.MACHINE,
    errno.EINVAL: Trouble.MACHINE,
}


@pytest.mark.parametrize("number", NUMBERS)
def test_an_error_of_the_system_is_never_damage(number: int) -> None:
    error = OSError(number, os.strerror(number), "file")
    assert trouble_of(error) is NUMBERS[number]
    outer = ValueError("the library's own words")
    outer.__cause__ = error
    assert trouble_of(outer) is NUMBERS[number]
    assert reason_of(outer) == f"{os.strerror(number)}: file"
    if number not in (errno.EINVAL,):  # a number that no library gives as a text
        assert trouble_of(RuntimeError(f"write failed: {os.strerror(number)}")) is NUMBERS[number]


def test_what_speaks_of_content_is_damage_whatever_it_quotes() -> None:
    quoted = ValueError(f"line 3: {os.strerror(errno.EACCES)!r} is no number")
    assert trouble_of(quoted) is Trouble.DAMAGED
    assert trouble_of(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")) is Trouble.DAMAGED
    assert trouble_of(MemoryError()) is Trouble.MACHINE


@pytest.mark.parametrize("kind", [PermissionError, FileNotFoundError, IsADirectoryError])
def test_only_what_is_lost_is_to_be_made_again(kind: type[OSError], tmp_path: Path) -> None:
    number = {PermissionError: errno.EACCES, FileNotFoundError: errno.ENOENT}.get(kind, errno.EISDIR)
    said = str(unusable(tmp_path / "file", kind(number, os.strerror(number)), "make it anew"))
    assert ("make it anew" in said) == (kind is FileNotFoundError)
    assert "damaged" not in said or "nothing says that the file is damaged" in said


def test_no_message_advises_to_delete() -> None:
    for path in (SRC / "peftir").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "delete" not in node.value, (path, node.lineno)


@pytest.fixture
def may_not(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Takes from this user the right to read and write a file or folder."""
    taken = []

    def take(path: Path) -> Path:
        path.chmod(0)
        taken.append(path)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read anything")
        return path

    yield take
    for path in taken:
        path.chmod(0o755)


def test_what_may_not_be_read_is_not_called_damaged(may_not: Callable[[Path], Path], tmp_path: Path) -> None:
    dense.build_index(
        [(["a"], np.ones((1, 4), dtype=np.float32))], "Flat", tmp_path / "dense", count=1, sample=1
    )
    bm25.build_index([("d1", "cat")], tmp_path / "bm25", threads=1)
    write_run(tmp_path / "run.trec", {"q": [("d1", 1.0)]}, "t")
    (tmp_path / "params.yaml").write_text("")
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/modules.json").write_text("[]")
    (tmp_path / "model/manifest.json").write_text('{"backbone": {}, "weights": {}}')
    (tmp_path / "model/weights.safetensors").write_text("cut short")
    readers: dict[Path, Callable[[Path], object]] = {
        tmp_path / "dense/index.faiss": lambda path: dense.DenseIndex(path.parent),
        next((tmp_path / "bm25").glob("segments_*")): lambda path: dict(
            bm25.search(path.parent, {"q": "cat"}, 1, 0, 1, 1)
        ),
        tmp_path / "run.trec": read_run,
        tmp_path / "params.yaml": load_params,
        tmp_path / "manifest.json": lambda path: Collection(path.parent),
        tmp_path / "model/modules.json": lambda path: saving.load(load_file, path.parent),
    }
    for path, read in readers.items():
        may_not(path)
        with pytest.raises(PeftirError) as caught:
            read(path)
        assert "this user may not read or write it" in str(caught.value), path
        assert "damaged" not in str(caught.value) and "again: `dvc" not in str(caught.value)


def test_where_nothing_can_be_written_is_named(may_not: Callable[[Path], Path], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    may_not(tmp_path / "folder")
    for path in (tmp_path / "folder/file", tmp_path / "folder/deeper/file"):
        with (
            pytest.raises(PeftirError, match=rf"^{path}: this user may not read or write it"),
            replacing(path),
        ):
            raise AssertionError("the block is not entered")


def test_an_error_of_another_file_is_not_said_to_be_of_this_one(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), replacing(tmp_path / "file"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "other"))


def test_a_damaged_file_of_a_model_is_named_and_others_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("models/retriever/lora-13")
    folder.mkdir(parents=True)
    (folder / "modules.json").write_text("[]")
    (folder / "manifest.json").write_text('{"backbone": {}, "weights": {}}')

    def fails(_: str) -> None:
        raise RuntimeError("the GPU is busy")

    with pytest.raises(PeftirError, match=r"lora-13: the model cannot be loaded \(the GPU is busy\)"):
        saving.load(fails, folder)  # type: ignore[arg-type,type-var]
    (folder / "weights.safetensors").write_bytes(b"cut short")
    with pytest.raises(
        PeftirError, match=r"weights\.safetensors: is damaged \(.*`dvc repro .* train_retriever@lora-13`"
    ):
        saving.load(fails, folder)  # type: ignore[arg-type,type-var]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_or_a_missing_right_ends_in_one_line_wherever_it_is_met(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise OSError(number, os.strerror(number), "/somewhere/file")

    with pytest.raises(SystemExit):
        exits_cleanly(main)()
    said = capsys.readouterr().err
    assert said.startswith("error: /somewhere/file: ") and said.count("\n") == 1


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    script = "from peftir.system.errors import exits_cleanly\nexits_cleanly(lambda: {}['key'])()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr and "KeyError" in done.stderr
