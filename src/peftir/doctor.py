"""Checks of the machine and the environment before the study runs: ``peftir doctor``.

torch is imported only on a machine with a GPU, so that all checks together take at most a second.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from peftir.pipeline.inputs import changed_inputs, other_packages
from peftir.ranking.jvm import find_anserini, find_java
from peftir.system.errors import PeftirError
from peftir.system.files import nearest
from peftir.system.git import ask
from peftir.system.memory import free_memory

STAGE_MEMORY_GIB = 6  # maximum of the stages of the default study
TRIAL_BYTES = 2**20  # written as a test: enough to detect a full disk
BF16_FLAGS = {"amx_bf16", "bf16"}  # x86, Arm; with only avx512_bf16 it took 1.6 times as long as float32


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; ``fail`` means that the study cannot run."""

    status: Literal["ok", "warn", "fail"]
    message: str


def diagnose(quiet: bool = False) -> bool:
    """Print a line for each check, with ``quiet`` only warnings and failures; return whether none failed."""
    results = {name: check() for name, check in CHECKS.items()}
    print(
        "".join(
            f"{result.status:<5} {name:<9} {result.message}\n"
            for name, result in results.items()
            if not quiet or result.status != "ok"
        ),
        end="",
    )
    return all(result.status != "fail" for result in results.values())


def java() -> CheckResult:
    """Is a Java for Anserini installed?"""
    try:
        found = find_java()
    except PeftirError as error:
        return CheckResult("fail", str(error))
    return CheckResult("ok", f"{found.version} by {found.source} ({found.home})")


def anserini() -> CheckResult:
    """Does the package Pyserini contain Anserini's jar?"""
    try:
        return CheckResult("ok", find_anserini().name)
    except PeftirError as error:
        return CheckResult("fail", str(error))


def dvc() -> CheckResult:
    """Is the command dvc on PATH? Otherwise `dvc exp run --run-all` hangs without a message."""
    command = shutil.which("dvc")
    if command:
        return CheckResult("ok", command)
    return CheckResult("fail", f'dvc is not on PATH; run: export PATH="{Path(sys.executable).parent}:$PATH"')


def openmp() -> CheckResult:
    """Do torch and faiss contain OpenMP runtimes that cannot be used in one process?

    Two copies of GNU's (libgomp) can; LLVM's and Intel's (libomp, libiomp) abort if there is a second one
    ("OMP: Error #15").
    """
    found = [f"{package}: {name}" for package in ("torch", "faiss") for name in _openmp_of(package)]
    runtimes = "; ".join(found) or "none of its own in torch or faiss"
    if len(found) < 2 or all("libgomp" in name for name in found):
        return CheckResult("ok", runtimes)
    return CheckResult(
        "warn", f'{runtimes}; if a stage ends with "OMP: Error #15", run: export KMP_DUPLICATE_LIB_OK=TRUE'
    )


def memory() -> CheckResult:
    """Is enough memory free for every stage?"""
    free = free_memory() / 2**30
    if free >= STAGE_MEMORY_GIB:
        return CheckResult("ok", f"{free:.1f} GiB free")
    return CheckResult(
        "warn",
        f"{free:.1f} GiB free, and a stage may take up to {STAGE_MEMORY_GIB} GiB; close other programs, "
        "or lower the batch sizes in params.yaml",
    )


def bf16() -> CheckResult:
    """Is bfloat16 fast on this processor?"""
    flags = _processor_flags()
    if flags & BF16_FLAGS:
        found = ", ".join(sorted(flags & BF16_FLAGS))
        return CheckResult(
            "ok", f"{found}; backbone.precision: bfloat16 in params.yaml is probably faster here"
        )
    if not flags:
        return CheckResult(
            "ok", "not known for this system; backbone.precision: float32, the default, is the safe choice"
        )
    return CheckResult(
        "ok",
        "no units for it (amx_bf16) on this processor; without a GPU keep backbone.precision: float32",
    )


def gpu() -> CheckResult:
    """Can torch use the NVIDIA GPU, if there is one?"""
    if not shutil.which("nvidia-smi") and not Path("/proc/driver/nvidia/version").exists():
        return CheckResult("ok", "none; the default study is sized for a processor")
    import torch

    if torch.cuda.is_available():
        return CheckResult("ok", torch.cuda.get_device_name())
    return CheckResult(
        "warn",
        f"torch {torch.__version__} cannot use this machine's NVIDIA GPU; install a build for its driver "
        "(https://pytorch.org/get-started), or run on the processor",
    )


def git() -> CheckResult:
    """Is this a clone with the complete history, which `dvc metrics diff` and experiments need?"""
    try:
        answer = ask(Path(), "rev-parse", "--is-shallow-repository").stdout.decode().strip()
    except PeftirError as error:
        return CheckResult("warn", str(error))
    if answer == "false":
        return CheckResult("ok", "the clone has its whole history")
    if answer == "true":
        return CheckResult(
            "warn",
            "the clone is shallow, so metrics have nothing to compare with; run: git fetch --unshallow",
        )
    return CheckResult(
        "warn", "not in a git clone; dvc cannot compare or queue experiments here, so clone the repository"
    )


def folder() -> CheckResult:
    """Can the study write to its folder, and does the path work with DVC?"""
    here = Path.cwd()
    if reason := why_not_writable(here):
        return CheckResult(
            "fail", f"{here}: cannot be written to ({reason}); the study writes all that it makes here"
        )
    if not str(here).isascii():
        return CheckResult(
            "warn",
            f"{here}: has letters beyond ASCII; `dvc repro` works, but `dvc exp run --temp` fails, and "
            "`dvc queue start` fails in silence: for these, clone into a folder with a plain path",
        )
    return CheckResult("ok", str(here))


def cache() -> CheckResult:
    """Can DVC write to its cache?"""
    place = _dvc_cache(Path(".dvc"))
    if reason := why_not_writable(place):
        return CheckResult(
            "fail",
            f"{place}: DVC's cache cannot be written to ({reason}); give yourself the right or make room, or "
            "run: dvc cache dir --local FOLDER",
        )
    return CheckResult("ok", str(place))


def temporary() -> CheckResult:
    """Can programs write temporary files?"""
    named = os.environ.get("TMPDIR")
    try:
        place = Path(named or tempfile.gettempdir())
    except FileNotFoundError as error:
        return CheckResult("fail", f"{error.strerror}; set TMPDIR to a folder that can be written to")
    if not place.is_dir():
        return CheckResult("warn", f"TMPDIR: {place}: no such folder; make it, or set TMPDIR to another")
    if reason := why_not_writable(place):
        return CheckResult(
            "warn", f"{place}: cannot be written to ({reason}); set TMPDIR to a folder that can, with room"
        )
    return CheckResult("ok", str(place))


def hub() -> CheckResult:
    """Can a backbone be downloaded into the Hugging Face cache? The default one is installed."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or home / "huggingface") / "hub"
    place = Path(named).expanduser()
    if reason := why_not_writable(place):
        return CheckResult(
            "warn",
            f"{place}: cannot be written to ({reason}); to take a backbone from the hub, set HF_HOME to a "
            "folder that can",
        )
    return CheckResult("ok", str(place))


def inputs() -> CheckResult:
    """Are the inputs outside of the study's folder unchanged?"""
    changed = "; ".join(changed_inputs(Path()))
    return CheckResult("fail" if changed else "ok", changed or "as they were read")


def packages() -> CheckResult:
    """Are the installed packages those of requirements.lock, on which the results depend?"""
    others = "; ".join(other_packages())
    return CheckResult("warn" if others else "ok", others or "as in requirements.lock")


CHECKS: dict[str, Callable[[], CheckResult]] = {
    "Java": java,
    "Anserini": anserini,
    "dvc": dvc,
    "OpenMP": openmp,
    "memory": memory,
    "bfloat16": bf16,
    "GPU": gpu,
    "git": git,
    "folder": folder,
    "cache": cache,
    "TMPDIR": temporary,
    "models": hub,
    "inputs": inputs,
    "packages": packages,
}


def why_not_writable(place: Path) -> str | None:
    """Try to write to the folder ``place`` or its nearest existing parent; return the error, or None.

    Besides missing permissions, the disk may be full, a quota exceeded or the file system read-only.
    """
    try:
        with tempfile.TemporaryFile(dir=nearest(place)) as file:
            file.write(bytes(TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _dvc_cache(folder: Path) -> Path:
    """The path of DVC's cache by the configuration in ``folder`` (``.dvc``)."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(configparser.Error, UnicodeDecodeError):  # DVC reports the error
        settings.read([folder / "config", folder / "config.local"], encoding="utf-8")
    return (folder / settings.get("cache", "dir", fallback="cache")).absolute()


def _openmp_of(package: str) -> list[str]:
    """File names of the OpenMP runtimes in the wheel of ``package``, found without loading them."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent
    # Folders of shared libraries in wheels: torch's own, macOS's and Linux's.
    libraries = [folder / "lib", folder / ".dylibs", *folder.parent.glob(f"{package}*.libs")]
    names = (file.name for library in libraries if library.is_dir() for file in library.iterdir())
    return sorted(name for name in names if re.match(r"lib(gomp|omp|iomp5)\b", name))


def _processor_flags() -> set[str]:
    """The processor's feature flags, on Linux; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, flags=re.MULTILINE)
    return set(line.group(1).split()) if line else set()
