"""params.yaml: what is read, and the one line that each mistake gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from peftir.study.params import load_params
from peftir.system.errors import PeftirError

DEFAULT = Path(__file__).parents[2] / "params.yaml"


def test_the_default_file_is_valid() -> None:
    params = load_params(DEFAULT)
    assert params.methods["full"].learning_rate is not None
    assert params.methods["full"].learning_rate.retriever == 1e-4
    assert params.methods["lora"].knobs == {"budget": 0.005}


def test_every_key_is_explained_where_it_first_stands() -> None:
    first: dict[str, str] = {}
    for line in DEFAULT.read_text().splitlines():
        if match := re.match(r"\s*(\w+):(.*)", line):
            first.setdefault(match[1], match[2])
    headings = {"collection", "bm25", "backbone", "index", "retrieval", "reranking"}  # their keys say it
    headings |= {"retriever", "reranker", "train", "dev", "test"}  # explained with the key around them
    assert [key for key, rest in first.items() if "#" not in rest and key not in headings] == []


@pytest.mark.parametrize("written", ["2e-05", "2e-5", "2E-5", "2.0e-05", "0.00002", ".2e-4"])
def test_scientific_notation_is_a_number(tmp_path: Path, written: str) -> None:
    text = DEFAULT.read_text().replace("retriever: 1e-4", f"retriever: {written}")
    rates = load_params(_file(tmp_path, text)).methods["full"].learning_rate
    assert rates is not None
    assert rates.retriever == pytest.approx(2e-5)


MISTAKES = {
    "unknown key at the top": (("bm52",), {"k1": 1}, ["bm52", "unknown key", "bm25"]),
    "unknown key in a block": (("bm25", "k"), 0.9, ["bm25.k", "unknown key", "k1, b, depth"]),
    "unknown knob": (("methods", "lora", "bugdet"), 0.1, ["methods.lora.bugdet", "unknown key", "budget"]),
    "missing key": (("bm25", "k1"), None, ["bm25.k1", "missing"]),
    "a string for a number": (("bm25", "k1"), "0.9", ["bm25.k1", "'0.9'", "number"]),
    "a float for a whole number": (("retriever", "steps"), 10.5, ["retriever.steps", "10.5", "integer"]),
    "yes for a number": (("retriever", "steps"), True, ["retriever.steps", "True", "integer"]),
    "zero steps": (("retriever", "steps"), 0, ["retriever.steps", "0", "greater than or equal to 1"]),
    "b above 1": (("bm25", "b"), 1.4, ["bm25.b", "1.4", "less than or equal to 1"]),
    "budget of 0": (("methods", "lora", "budget"), 0.0, ["methods.lora.budget", "0.0", "greater than 0"]),
    "budget above 1": (("methods", "lora", "budget"), 1.5, ["methods.lora.budget", "1.5", "less than 1"]),
    "a variant without a method": (
        ("variants", "retriever"),
        ["full", "lroa"],
        ["variants.retriever", "'lroa'", "zero_shot, full, lora"],
    ),
    "a variant twice": (("variants", "retriever"), ["full", "full"], ["variants.retriever", "once"]),
    "no variant": (("variants", "reranker"), [], ["variants.reranker", "at least 1"]),
    "an untrained re-ranker": (("variants", "reranker"), ["zero_shot"], ["variants.reranker", "'zero_shot'"]),
    "a seed twice": (("seeds", "retriever"), [13, 13], ["seeds.retriever", "once"]),
    "a negative seed": (("seeds", "retriever"), [-1], ["seeds.retriever", "-1", "whole number from 0"]),
    "a quoted seed": (("seeds", "retriever"), ["13"], ["seeds.retriever", "'13'", "such as 13f1"]),
    "a seed that is none": (("seeds", "retriever"), ["13g1"], ["seeds.retriever", "'13g1'", "such as 13f1"]),
    "yes for a seed": (("seeds", "retriever"), [True], ["seeds.retriever", "True", "whole number from 0"]),
    "a fold without folds": (
        ("seeds", "reranker"),
        ["13f1"],
        ["seeds.reranker", "'13f1'", "a whole number such as 13", "collection.folds is null"],
    ),
    "folds without seeds for them": (
        ("collection", "folds"),
        3,
        ["seeds.retriever: 13, 14, 15:", "collection.folds is 3", "13f1, 13f2, 13f3"],
    ),
    "one fold": (("collection", "folds"), 1, ["collection.folds", "1", "greater than or equal to 2"]),
    "splits beyond 1": (("collection", "splits", "train"), 0.9, ["collection.splits", "add up to 1"]),
    "unknown pooling": (("backbone", "pooling"), "average", ["backbone.pooling", "'average'", "'mean'"]),
    "a trained method without a rate": (
        ("methods", "lora", "learning_rate"),
        None,
        ["methods.lora", "learning_rate with the keys retriever and reranker"],
    ),
    "a rate for zero_shot": (
        ("methods", "zero_shot", "learning_rate"),
        {"retriever": 1e-3, "reranker": 1e-3},
        ["methods.zero_shot", "no learning_rate"],
    ),
    "a rate for one stage only": (
        ("methods", "lora", "learning_rate"),
        {"retriever": 1e-3},
        ["methods.lora.learning_rate.reranker", "missing"],
    ),
    "no process": (("reranking", "processes"), 0, ["reranking.processes", "0", "greater than or equal to 1"]),
    "more processes than queries": (
        ("retriever", "processes"),
        17,
        ["retriever.processes", "at most batch_size (16)", "not 17"],
    ),
    "a name that no folder can have": (
        ("variants", "retriever"),
        ["a/b"],
        ["a/b", "letters, digits"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_its_key_in_one_line(tmp_path: Path, name: str) -> None:
    keys, value, expected = MISTAKES[name]
    content = yaml.safe_load(re.sub(r"(\d)e-", r"\1.0e-", DEFAULT.read_text()))
    if name == "a name that no folder can have":
        content["methods"]["a/b"] = content["methods"]["full"]
    block = content
    for key in keys[:-1]:
        block = block[key]
    if value is None:
        del block[keys[-1]]
    else:
        block[keys[-1]] = value
    with pytest.raises(PeftirError) as error:
        load_params(_file(tmp_path, yaml.safe_dump(content, sort_keys=False)))
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(tmp_path / "params.yaml"))
    assert [part for part in expected if part not in message] == []


def test_a_quoted_number_is_a_string_and_so_a_mistake(tmp_path: Path) -> None:
    text = DEFAULT.read_text().replace("retriever: 1e-4", "retriever: '2e-05'")
    with pytest.raises(
        PeftirError, match=r"methods.full.learning_rate.retriever: '2e-05': expected a valid number"
    ):
        load_params(_file(tmp_path, text))


def test_a_file_that_is_not_yaml_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match="not readable as YAML"):
        load_params(_file(tmp_path, "bm25: [0.9"))
    with pytest.raises(PeftirError, match="not found"):
        load_params(tmp_path / "nothing.yaml")


def _file(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path
