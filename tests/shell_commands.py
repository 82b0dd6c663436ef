"""The commands in a shell block, as bash expands them, and whether each of their programs would take them.

Bash runs the block, but each program is a function that only writes down its arguments. These are then parsed
by the program's own parser, and what they name has to exist: files, stages, variants, keys of
``params.yaml``, targets of the ``Makefile``.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL

import yaml
from accelerate.commands.launch import launch_command_parser
from dvc.cli.parser import get_main_parser
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps
from ray.scripts.scripts import start as ray_start
from torch.distributed.run import get_args_parser as torchrun_parser

from peftir.cli import command_line
from peftir.study.params import load_params
from structure import ROOT, TRUSTING_GIT

FUNCTIONS = """
set -eu -o pipefail
record() { local line; printf -v line '%s\\x1f' "$@"; printf '%s\\x1e' "$line" >> "$RECORDS"; }
git() {
  record git "$@"
  if [ "$1" = clone ]; then command -p mkdir -p "${!#}"; fi
}
"""


def commands(block: str, folder: Path) -> list[list[str]]:
    """The programs that ``block`` runs in the empty ``folder``, each with its arguments."""
    records, work, nothing = folder / "records", folder / "work/study", folder / "bin"
    for path in (work, nothing):
        path.mkdir(parents=True)
    functions = "\n".join(f'{name}() {{ record {name} "$@"; }}' for name in CHECKS if name != "git")
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-c", f"{FUNCTIONS}\n{functions}\n{block}"],
        cwd=work,
        env={"PATH": str(nothing), "RECORDS": str(records), "PEFTIR": str(work)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = records.read_text(encoding="utf-8").split("\x1e")[:-1]
    return [line.split("\x1f")[:-1] for line in found]


def check(command: list[str], folder: Path) -> None:
    """Raise unless the program would take ``command``; ``folder`` is empty, for files of the check."""
    program, *arguments = command
    try:
        CHECKS[program](arguments, folder)
    except SystemExit as error:
        raise AssertionError(f"{' '.join(command)}: its parser exits with {error.code}") from None


def _dvc(arguments: list[str], folder: Path) -> None:
    parsed, unknown = get_main_parser().parse_known_args(arguments)
    assert not unknown, unknown
    changes = getattr(parsed, "set_param", None) or []
    for target in getattr(parsed, "targets", None) or []:
        _target(target)
    grid = list(get_hydra_sweeps({"params.yaml": changes})) if changes else []
    assert len(grid) < 2 or parsed.queue, "several values of a key need --queue"
    for settings in grid:
        path = folder / "params.yaml"
        shutil.copy(ROOT / "params.yaml", path)
        apply_overrides(path, settings["params.yaml"])
        load_params(path)


def _target(target: str) -> None:
    """A target of ``dvc repro``: a stage, with the variant and seed that follow ``@`` if it has them."""
    name, _, model = target.partition("@")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert name in stages, f"{target}: expected a stage of dvc.yaml"
    if model:
        params, task = load_params(ROOT / "params.yaml"), "reranker" if "rerank" in name else "retriever"
        models = [f"{v}-{s}" for v in params.variants.trained(task) for s in params.seeds.at(task)]
        assert model in models, f"{target}: expected a variant and seed of params.yaml"


def _peftir(arguments: list[str], folder: Path) -> None:
    parsed = command_line().parse_args(arguments)
    for target in getattr(parsed, "target", []):
        _target(target)
    if variant := getattr(parsed, "variant", None):
        assert variant in load_params(ROOT / "params.yaml").methods
    if command := getattr(parsed, "command", None):
        check(command, folder)


def _git(arguments: list[str], folder: Path) -> None:
    subcommand, *rest = arguments
    usage = subprocess.run(["git", subcommand, "-h"], cwd=ROOT, capture_output=True, text=True, check=False)
    options = usage.stdout + usage.stderr  # `commit` prints to the latter
    assert options.startswith("usage: git")
    for option in (word for word in rest if word.startswith("-")):
        name = re.sub(r"^--(no-)?", "", option)
        pattern = rf"--(\[no-\])?{re.escape(name)}\b" if option.startswith("--") else rf" {option}\b"
        assert re.search(pattern, options), f"git {subcommand} has no option {option}"
    if subcommand in ("add", "restore"):
        for path in (word for word in rest if not word.startswith("-")):
            listing = [*TRUSTING_GIT, "ls-files", "--error-unmatch", path]
            subprocess.run(listing, cwd=ROOT, check=True, stdout=DEVNULL)


def _make(arguments: list[str], folder: Path) -> None:
    subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, stdout=DEVNULL)


def _python(arguments: list[str], folder: Path) -> None:
    script, *options = arguments
    assert (ROOT / script).is_file()
    if script.startswith("stages/"):
        shown = _help(script)
        for option, value in zip(options[::2], options[1::2], strict=True):
            assert f"{option} " in shown
            assert option != "--variant" or value in load_params(ROOT / "params.yaml").methods
    else:
        assert not [option for option in options if option.startswith("-")], "check them here"


@functools.cache
def _help(script: str) -> str:
    command = [sys.executable, script, "--help"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _ray(arguments: list[str], folder: Path) -> None:
    subcommand, *rest = arguments
    assert subcommand == "start"
    ray_start.make_context("ray start", rest)


def _accelerate(arguments: list[str], folder: Path) -> None:
    subcommand, *rest = arguments
    assert subcommand == "launch"
    parsed = launch_command_parser().parse_args(rest)
    _python([parsed.training_script, *parsed.training_script_args], folder)


def _torchrun(arguments: list[str], folder: Path) -> None:
    parsed = torchrun_parser().parse_args(arguments)
    _python([parsed.training_script, *parsed.training_script_args], folder)


def _cp(arguments: list[str], folder: Path) -> None:
    source, target = arguments
    assert target == "params.yaml"
    load_params(ROOT / source)


def _source(arguments: list[str], folder: Path) -> None:
    assert arguments == [".venv/bin/activate"]  # what make makes


CHECKS: dict[str, Callable[[list[str], Path], None]] = {
    "accelerate": _accelerate,
    "cp": _cp,
    "dvc": _dvc,
    "git": _git,
    "make": _make,
    "peftir": _peftir,
    "python": _python,
    "ray": _ray,
    "source": _source,
    "torchrun": _torchrun,
}
"""Programs by name; a block that runs another one fails."""
