"""What README.md and its companions say is so: paths, keys, stages, and what a reader would copy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from peftir.models import saving
from peftir.models.backbone import link_wheels
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.study.params import MethodParams, Params, load_params
from peftir.tuners import METHODS, make_config
from structure import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "docs/pipeline.md")
}
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
MOST_WORDS = 1200
STAGES: dict[str, dict[str, Any]] = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].items()
}


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def words(text: str) -> Iterator[str]:
    """Words of inline code, of shell blocks without comments, and link targets."""
    for block in blocks(text, "sh"):
        yield from re.sub(r"(?m)#.*$", "", block).split()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`]+)`", prose):
        yield from code.split()
    yield from (target for target in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in target)


def paths(text: str) -> set[str]:
    """What is written as a path: it has a slash in it or the suffix of a file."""
    hub_id = PARAMS["backbone"]["name"]
    found = {word.strip("'\",;:") for word in words(text)} - {hub_id}
    return {
        word
        for word in found
        if "/" in word or re.search(r"\w\.(md|py|ya?ml|json|toml|lock|html|png)$", word)
    }


def outs() -> Iterator[str]:
    """All paths that the stages write to."""
    for stage in STAGES.values():
        for kind in ("outs", "metrics"):
            for entry in stage.get(kind, []):
                yield entry if isinstance(entry, str) else next(iter(entry))


def is_made(path: str) -> bool:
    """Whether a stage, DVC or make makes ``path``, or something inside it."""
    name = path.strip("/").replace("V-S", "*-*").replace("lora-13", "*-*")
    name = re.sub(r"/[VTNR](?=[./]|$)", "/*", name)
    made = [re.sub(r"\$\{[^}]*\}", "*", out) for out in outs()] + [
        ".dvc/cache",
        ".venv/bin/activate",
        ".venv/bin/peftir",
    ]
    return any(out == name or out.startswith(f"{name}/") for out in made)


def keys(text: str) -> set[str]:
    """What is written as a key of ``params.yaml``: a block's name and names below it, joined by dots."""
    top = "|".join(Params.model_fields)
    return {
        word
        for code in words(text)
        for word in re.findall(rf"^'?((?:{top})(?:\.(?!(?:md|lock)\b)\w+)+)(?==|'?$|\.…)", code)
    }


def merged(base: Any, change: Any) -> Any:
    """``base`` with what a reader was told to add: keys into blocks, items to lists."""
    if isinstance(base, dict):
        return base | {
            key: merged(base[key], value) if key in base else value for key, value in change.items()
        }
    return [*base, *change] if isinstance(base, list) else change


LIBRARY, MODELS = blocks(README, "python")


def test_the_first_page_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


@pytest.mark.parametrize("page", PAGES)
def test_every_path_is_there_or_is_made(page: str) -> None:
    named = paths(PAGES[page])
    assert named
    beside = (ROOT / page).parent
    lost = {
        path for path in named if not ((beside / path).exists() or (ROOT / path).exists() or is_made(path))
    }
    files = {path.name for path in ROOT.glob("src/peftir/**/*.py")}  # named within a folder's line
    assert not lost - files


@pytest.mark.parametrize("page", ["README.md", "docs/pipeline.md"])
def test_every_key_is_in_params_yaml(page: str) -> None:
    named = {key for key in keys(PAGES[page]) if not re.search(r"\.[VTN](\.|$)", key)}
    assert named
    for key in named:
        value = PARAMS
        for part in key.split("."):
            assert part in value, f"{page} names {key}"
            value = value[part]


def test_all_types_of_method_are_named() -> None:
    sentence = re.search(r"The types are (.*?), which takes", README, flags=re.DOTALL)
    assert sentence and set(re.findall(r"`(\w+)`", sentence[1])) == set(METHODS)


def test_variants_to_add_are_valid_beside_the_others(tmp_path: Path) -> None:
    (change,) = (yaml.safe_load(block) for block in blocks(README, "yaml"))
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(merged(PARAMS, change)), encoding="utf-8")
    params = load_params(path)
    assert params.variants.retriever == [*PARAMS["variants"]["retriever"], *change["methods"]]
    model = new_biencoder(params.backbone.name, pooling="mean", query_length=8, document_length=8)
    for name in change["methods"]:
        method = params.methods[name]
        assert make_config(method.type, saving.transformer_of(model), **method.knobs)


def filled_in(text: str) -> str:
    """A key or path of ``dvc.yaml`` with letters for the axes of a stage's matrix, and for its blocks."""
    for axis, letter in (
        ("item.variant", "V"),
        ("item.seed", "S"),
        ("item.test", "T"),
        ("item.lexical", "N"),
        ("item.retriever", "R"),
        ("key", "N"),
    ):
        text = text.replace(f"${{{axis}}}", letter)
    return text


def test_the_stages_are_those_of_dvc_yaml() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \| (.*) \|$", PAGES["docs/pipeline.md"], flags=re.MULTILINE)
    told = {
        stage: (re.findall("`([^`]+)`", follows), re.findall("`([^`]+)`", writes))
        for stage, follows, writes in rows
    }
    assert list(told) == list(STAGES)
    for name, stage in STAGES.items():
        follows = [filled_in(key) for key in stage["params"] if isinstance(key, str)]
        entries = [*stage.get("outs", []), *stage.get("metrics", [])]
        names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
        written = [filled_in(out) for out in names]
        assert told[name] == (follows, [out for out in written if not out.startswith("metrics/resources/")])


def test_trained_models_load_and_score_as_shown(tmp_path: Path) -> None:
    """The second Python block, with models that are where training leaves them, at their first step."""
    name = PARAMS["backbone"]["name"]
    rates = {"retriever": 0.1, "reranker": 0.1}
    lora = MethodParams.model_validate({"type": "lora", "rank": 2, "learning_rate": rates})
    for stage, model in (
        ("retriever", new_biencoder(name, pooling="mean", query_length=32, document_length=64)),
        ("reranker", new_crossencoder(name, length=80)),
    ):
        saving.attach(model, "lora", lora)
        saving.save(model, tmp_path / "models" / stage / "lora-13", name)
    printed = run_as_it_stands(MODELS, tmp_path)
    similar, other, *scores = map(float, re.findall(r"-?\d+\.\d+(?:e-?\d+)?", printed))
    assert similar > 0.5 > other
    assert len(scores) == 2


def test_a_method_goes_onto_a_model_as_shown(tmp_path: Path) -> None:
    """The first Python block; it stays within the budget that it names."""
    printed = run_as_it_stands(LIBRARY, tmp_path)
    found = re.search(r"trainable params: ([\d,]+) \|\| all params: ([\d,]+)", printed)
    assert found
    trained, everything = (int(number.replace(",", "")) for number in found.groups())
    assert 0 < trained <= 0.005 * (everything - trained)


def run_as_it_stands(code: str, folder: Path) -> str:
    """What ``code`` prints in a fresh process in ``folder``, without a network."""
    link_wheels(folder)  # as in the study's
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
