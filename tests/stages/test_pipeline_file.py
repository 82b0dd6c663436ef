"""dvc.yaml says all that a stage's numbers come from, and imports point one way."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from peftir.study.params import Params
from structure import (
    ARROWS,
    COMMON,
    ROOT,
    SRC,
    TRUSTING_GIT,
    behind,
    closure,
    imports_of,
    modules_behind,
    room_of,
)

PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
# A stage for each block under a key of params.yaml (foreach) has its content under ``do``.
STAGES: dict[str, dict[str, Any]] = {
    name: stage | stage.get("do", {}) for name, stage in PIPELINE["stages"].items()
}
OPTIONS = {"mining": "mining", "teachers": "teacher"}
"""The option of the command that names a block, by the key of the blocks."""
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
# One of each, so that the stages for them are checked, too.
PARAMS["mining"] = {
    "first": {"variant": "full", "seed": 13, "negatives_from": "bm25", "with_bm25": True, "depth": 9}
}
PARAMS["teachers"] = {
    "expert": {"scores": "models/reranker/full-13", "negatives_from": "mining/first", "depth": 9}
}
TUNERS = SRC / "peftir" / "tuners"


def script_of(stage: str) -> Path:
    return ROOT / "stages" / f"{stage}.py"


def items_of(stage: str) -> list[dict[str, str]]:
    """What ``${item.variant}`` and ``${item.seed}`` stand for, one a run of the stage."""
    if "foreach" in STAGES[stage]:
        blocks = value_of(STAGES[stage]["foreach"][2:-1])
        return [
            {"${key}": key} | {f"${{item.{name}}}": str(value) for name, value in block.items()}
            for key, block in blocks.items()
        ]
    matrix = STAGES[stage].get("matrix", {})
    names = [f"${{item.{axis}}}" for axis in matrix]
    values = [map(str, value_of(key[2:-1])) for key in matrix.values()]
    return [dict(zip(names, item, strict=True)) for item in product(*values)]


def value_of(key: str) -> Any:
    value = PARAMS
    for part in key.split("."):
        value = value[part]
    return value


def filled_in(stage: str, text: str) -> list[str]:
    text = re.sub(r"\$\{((?:retriever|reranker)\.\w+)\}", lambda match: str(value_of(match[1])), text)
    texts = []
    for item in items_of(stage):
        filled = text
        for name, value in item.items():
            filled = filled.replace(name, value)
        texts.append(re.sub(r"\$\{([^}]*)\}", lambda key: str(value_of(key[1])), filled))
    return texts


def names_of(entries: list[str | dict[str, Any]]) -> list[str]:
    """Paths, or keys, of entries that may have settings of their own."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def outs_of(stage: str) -> list[str]:
    kinds = (STAGES[stage].get(kind, []) for kind in ("outs", "metrics", "plots"))
    return [path for kind in kinds for name in names_of(kind) for path in filled_in(stage, name)]


def keys_of(stage: str) -> list[str]:
    """The keys of params.yaml that the stage follows; the empty one is the whole file."""
    return ["" if name == "params.yaml" else name for name in names_of(STAGES[stage].get("params", []))]


def followed_by(stage: str) -> set[str]:
    """As ``keys_of``, with all variants' blocks as one, all test sets', and so on."""
    return {re.sub(r"\.\$\{(item\.(variant|test|lexical)|key)\}(\.\w+)?$", "", key) for key in keys_of(stage)}


def is_part(key: str, blocks: set[str]) -> bool:
    return any(block in ("", key) or key.startswith(f"{block}.") for block in blocks)


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def keys_read_by(script: Path) -> set[str]:
    """What the code behind ``script`` reads of params.yaml: chains such as ``params.backbone.precision``."""
    chains = set()
    for path in closure(script):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner:
                chain = list(_chain(node))
                if chain and chain[0] in Params.model_fields:
                    chains.add(".".join(chain))
    return chains


def _chain(node: ast.expr) -> Iterator[str]:
    """``a.b`` of ``params.a.b`` and of ``load_params().a.b``; nothing of any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load_params"
    if called or (isinstance(node, ast.Name) and node.id == "params"):
        yield from names


def test_a_script_a_stage_and_a_stage_a_script() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"common"}
    assert set(STAGES) == scripts


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_is_the_script_with_its_variant_and_seed(stage: str) -> None:
    options = "".join(f" --{axis} ${{item.{axis}}}" for axis in STAGES[stage].get("matrix", ()))
    if "foreach" in STAGES[stage]:
        options = f" --{OPTIONS[STAGES[stage]['foreach'][2:-1]]} ${{key}}"
    assert STAGES[stage]["cmd"] == f"python stages/{stage}.py{options}"


@pytest.mark.parametrize("stage", STAGES)
def test_deps_name_exactly_the_modules_that_the_script_uses(stage: str) -> None:
    named = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("src/", "stages/"))}
    assert named == modules_behind(script_of(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_follows_the_versions_of_the_libraries(stage: str) -> None:
    assert "requirements.lock" in STAGES[stage]["deps"]


@pytest.mark.parametrize("stage", STAGES)
def test_what_starts_from_the_backbone_follows_its_content(stage: str) -> None:
    starts = any(is_part("backbone.name", {key}) for key in keys_of(stage)) and stage != "report"
    assert starts == (stage == "backbone" or "backbone.lock" in STAGES[stage]["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_every_dep_is_in_git_or_another_stage_makes_it(stage: str) -> None:
    listed = subprocess.run(
        [*TRUSTING_GIT, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    kept = {Path(line) for line in listed.splitlines()}
    made = {Path(out) for other in STAGES if other != stage for out in outs_of(other)}
    for name in STAGES[stage]["deps"]:
        for dep in map(Path, filled_in(stage, name)):
            in_git = dep in kept or any(dep in path.parents for path in kept - made)
            # A dep may be an output, lie in one, or be the folder of several.
            is_made = any(dep == out or dep in out.parents or out in dep.parents for out in made)
            assert in_git or is_made, f"{stage}: {dep}"


def test_bytecode_beside_the_code_that_a_stage_depends_on_makes_nothing_stale() -> None:
    folders = {dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith("src/")}
    bytecode = sorted(f"{dep}/__pycache__/a.pyc" for dep in folders if (ROOT / dep).is_dir())
    asked = [sys.executable, "-m", "dvc", "check-ignore", *bytecode]
    ignored = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert bytecode and ignored.splitlines() == bytecode


def test_what_a_kill_left_beside_the_outs_that_a_stage_depends_on_makes_nothing_stale() -> None:
    left = ["runs/retrieval/lora-13.host-123-0a1b2c3d.partial/dev.trec", "models/retriever/a.partial"]
    asked = [sys.executable, "-m", "dvc", "check-ignore", *left]
    ignored = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ignored.splitlines() == left


@pytest.mark.parametrize("stage", STAGES)
def test_every_key_that_a_stage_follows_is_in_params_yaml(stage: str) -> None:
    for key in keys_of(stage):
        for filled in filled_in(stage, key):
            # null is a value too, and a key that is not there an error.
            assert not filled or value_of(filled) is not None or filled == "backbone.revision"


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_code_reads_of_params_yaml_the_stage_follows(stage: str) -> None:
    unfollowed = {key for key in keys_read_by(script_of(stage)) if not is_part(key, followed_by(stage))}
    assert unfollowed == set()


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_follows_of_params_yaml_its_code_reads(stage: str) -> None:
    read = keys_read_by(script_of(stage))
    assert {
        key for key in followed_by(stage) if key and not any(is_part(each, {key}) for each in read)
    } == set()


def test_no_two_stages_write_to_the_same_place() -> None:
    outs = [Path(out) for stage in STAGES for out in outs_of(stage)]
    assert len(set(outs)) == len(outs)
    assert not [(a, b) for a in outs for b in outs if a in b.parents]


def test_every_plot_draws_what_a_stage_writes_with_a_template_that_is_there() -> None:
    outs = {out for stage in STAGES for out in outs_of(stage)}
    plots = [settings for plot in PIPELINE["plots"] for settings in plot.values()]
    assert plots
    for plot in plots:
        assert set(plot["y"]) <= outs
        assert (ROOT / ".dvc/plots" / f"{plot['template']}.json").is_file()


def test_the_engine_alone_knows_of_dvc() -> None:
    engine = SRC / "peftir" / "pipeline" / "engine"
    for path in (SRC / "peftir").rglob("*.py"):
        assert engine in path.parents or not {name.split(".")[0] for name in imported_modules(path)} & {
            "dvc",
            "dvclive",
        }, path


def test_every_room_imports_only_from_those_below_it() -> None:
    height = {room: -line for line, rooms in enumerate(ARROWS) for room in rooms}
    modules = [path for path in (SRC / "peftir").rglob("*.py") if path != SRC / "peftir" / "__init__.py"]
    assert {room_of(path) for path in modules} == {*height, *COMMON}
    for path in modules:
        room = room_of(path)
        for imported in map(room_of, imports_of(path)):
            if imported in (room, "__init__") or (imported in COMMON and room not in (*COMMON, "tuners")):
                continue
            if (room, imported) != ("study", "system"):
                assert room not in COMMON and height[imported] < height[room], f"{path} imports {imported}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    for path in (SRC / "peftir").rglob("*.py"):
        assert path not in behind(path), f"{path} imports itself, through other modules"


def types_defined_in(path: Path) -> Iterator[str]:
    """Its classes, and its names for types, such as ``Qrels = dict[str, dict[str, int]]``."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call):  # a TypeVar is a call
            names = (target.id for target in node.targets if isinstance(target, ast.Name))
            yield from (name for name in names if name[0].isupper() and not name.isupper())


def test_no_module_is_longer_than_300_lines() -> None:
    folders = (SRC, ROOT / "stages", ROOT / "docs", ROOT / "benchmarks")
    lengths = {path: path.read_text().count("\n") for folder in folders for path in folder.rglob("*.py")}
    assert max(lengths.values()) <= 300, max(lengths, key=lengths.__getitem__)


def test_no_two_types_share_a_name() -> None:
    defined: dict[str, Path] = {}
    for path in sorted((SRC / "peftir").rglob("*.py")):
        for name in types_defined_in(path):
            assert name not in defined, f"{path} and {defined[name]} define {name}"
            defined[name] = path


def test_a_clone_has_the_same_bytes_whatever_git_makes_of_line_ends() -> None:
    command = [*TRUSTING_GIT, "ls-files", "-z", "--eol"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for line in filter(None, listed.split("\0")):
        kinds, path = line.split("\t")
        inside, _, attributes = kinds.split(maxsplit=2)
        # Binary, or text that is stored and written with Unix's ends.
        assert attributes.split() in (["attr/-text"], ["attr/text=auto", "eol=lf"]), path
        assert inside in ("i/-text", "i/lf", "i/none"), path


@pytest.mark.parametrize("linked", [False, True])
def test_the_environment_is_ignored_be_it_a_folder_or_a_link(linked: bool, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    environment = tmp_path / ".venv"
    if linked:
        environment.symlink_to(ROOT)
    else:
        environment.mkdir()
        (environment / "file").touch()
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    status = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert status == "?? .gitignore\n"


# What an edit of one file must not make stale, whatever else it does.
UNTOUCHED = {
    "training/examples.py": {"prepare", "bm25", "index", "retrieve", "rerank", "evaluate"},
    "training/losses.py": {"prepare", "bm25", "index", "retrieve", "rerank", "evaluate"},
    "ranking/dense.py": {"prepare", "bm25", "train_retriever", "train_reranker", "rerank", "learning"},
    "ranking/interpolation.py": {"prepare", "bm25", "train_retriever", "index", "retrieve", "learning"},
    "statistics/comparisons.py": {*STAGES}
    - {"evaluate", "evaluate_chain", "evaluate_chain_test", "evaluate_test", "report"},
    "data/sources/beir.py": {*STAGES} - {"prepare", "prepare_test"},
    "pipeline/train_retriever.py": {*STAGES} - {"train_miner", "train_retriever"},
}


@pytest.mark.parametrize("file", UNTOUCHED)
def test_an_edit_makes_no_stage_stale_that_does_not_follow_from_it(file: str) -> None:
    path = SRC / "peftir" / file
    assert path.is_file()
    deps = {stage: {ROOT / dep for dep in STAGES[stage]["deps"]} for stage in STAGES}
    stale = {stage for stage, named in deps.items() if path in named or named & {*path.parents}}
    assert stale and not stale & UNTOUCHED[file]


def test_the_tuners_use_torch_transformers_and_peft_alone() -> None:
    foreign = {"sentence_transformers", "datasets", "pandas", "pyarrow", "numpy", "ir_measures", "pydantic"}
    used = {name.split(".")[0] for path in TUNERS.glob("*.py") for name in imported_modules(path)}
    assert {"torch", "transformers", "peft"} <= used
    assert not used & (foreign | {"faiss", "jnius", "pyserini", "yaml"})


def test_nothing_imports_a_stage() -> None:
    stages = {"common", *STAGES}
    for path in (SRC / "peftir").rglob("*.py"):
        assert not {name.split(".")[0] for name in imported_modules(path)} & (stages | {"stages"}), path
