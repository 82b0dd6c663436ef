"""What a user may import: it is there, it is documented by examples that run, and importing it is light."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from peftir.models import new_biencoder, save
from peftir.models.backbone import link_wheels
from peftir.tuners import attach
from structure import ROOT, SRC

PUBLIC = ("data", "learning", "models", "ranking", "statistics", "study", "training", "tuners")
PACKAGES = sorted(path.parent.name for path in (SRC / "peftir").glob("*/__init__.py"))
EXAMPLES = [
    path
    for path in sorted((SRC / "peftir").rglob("*.py"))
    if re.search(r"^ *>>> \w", path.read_text("utf-8"), re.M)
]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", EXAMPLES, ids=module_of)
def test_examples_in_docstrings_run(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = doctest.testmod(importlib.import_module(module_of(path)))
    assert result.attempted and not result.failed


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_it_exports(package: str) -> None:
    module = importlib.import_module(f"peftir.{package}")
    assert bool(module.__all__) == (package in PUBLIC)
    for name in module.__all__:
        assert getattr(module, name).__doc__, name
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


@pytest.mark.parametrize("package", PUBLIC)
def test_every_function_that_is_exported_has_an_example(package: str) -> None:
    module = importlib.import_module(f"peftir.{package}")
    exported = {name: getattr(module, name) for name in module.__all__}
    documented = [module, *filter(callable, exported.values())]
    parser = doctest.DocTestParser()
    examples = [example for one in documented for example in parser.get_examples(inspect.getdoc(one) or "")]
    code = "".join(example.source for example in examples)
    assert not [name for name, one in exported.items() if inspect.isfunction(one) and f"{name}(" not in code]


LIGHT = {
    "data": {"torch", "pandas", "ir_datasets"},
    "models": {"torch", "sentence_transformers"},
    "ranking": {"torch", "pandas", "faiss", "jnius", "ir_measures"},
    "study": {"torch", "pydantic"},
    "training": {"torch", "transformers"},
    "tuners": {"sentence_transformers", "pandas", "dvc", "datasets", "pyarrow"},
}
"""What no module of the package needs that other code of it imports."""


@pytest.mark.parametrize("package", LIGHT)
def test_importing_a_package_leaves_out_what_only_some_of_it_needs(package: str) -> None:
    code = f"import sys, peftir.{package}; print(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not LIGHT[package] & set(done.stdout.split())


PAGE = (ROOT / "docs" / "library.md").read_text("utf-8")


def test_the_page_lists_what_is_exported() -> None:
    rows = re.findall(r"^\| `peftir\.(\w+)`,[^|]*\|(.*)\|$", PAGE, re.M)
    listed = {package: set(re.findall(r"`(\w+)`", names)) for package, names in rows}
    listed["study"].remove("layout")
    assert listed == {name: set(importlib.import_module(f"peftir.{name}").__all__) for name in PUBLIC}


def test_an_adapter_of_pefts_own_loads_as_shown(tmp_path: Path) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    model = new_biencoder(name, pooling="mean", query_length=8, document_length=8)
    attach(model[0].model, "lora", rank=3)
    save(model, tmp_path / "their-lora", name)
    link_wheels(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
