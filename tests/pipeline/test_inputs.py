"""Inputs from outside the study that change under it are told, by file."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from peftir import doctor
from peftir.data.prepare import SOURCES, prepare
from peftir.data.sources.fingerprint import FILES
from peftir.models.backbone import ADAPTER
from peftir.pipeline.backbone import settle
from peftir.pipeline.inputs import changed_inputs, other_packages
from peftir.pipeline.prepare_test import prepare_test
from peftir.study import layout
from peftir.system.files import fingerprint
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

SPLITS = {"train": 0.4, "dev": 0.3, "test": 0.3}
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
LENGTH = (
    "it is told at some length, so that there is enough left of the text when its beginning has been cut off"
)
SOURCE = {"source": "beir:../source", "documents": None}
TEXTS = {f"{word}.txt": f"How to use number {word}. Of {word} {LENGTH}.\n" for word in WORDS}
QRELS = "".join(f"q{i} 0 d{i} 1\n" for i in range(12))
COLLECTIONS: dict[str, dict[str, str]] = {
    "beir": {
        "corpus.jsonl": "".join(json.dumps({"_id": f"d{i}", "text": f"text {i}"}) + "\n" for i in range(12)),
        "queries.jsonl": "".join(
            json.dumps({"_id": f"q{i}", "text": f"query {i}"}) + "\n" for i in range(12)
        ),
        **{
            f"qrels/{split}.tsv": f"query-id\tcorpus-id\tscore\nq{i}\td{i}\t1\n"
            for i, split in enumerate(("train", "dev", "test"))
        },
    },
    "trec": {
        "documents/a/first": "".join(
            f"<DOC>\n<DOCNO>d{i}</DOCNO>\n<TEXT>text {i}</TEXT>\n</DOC>\n" for i in range(12)
        ),
        "topics.txt": "".join(f"<top>\n<num>q{i}\n<title>query {i}\n</top>\n" for i in range(12)),
        "qrels.txt": QRELS,
    },
    "msmarco-passage": {
        "collection.tsv": "".join(f"d{i}\ttext {i}\n" for i in range(12)),
        **{f"queries.{split}.tsv": f"q{i}\tquery {i}\n" for i, split in enumerate(SPLITS)},
        **{f"qrels.{split}.tsv": f"q{i} 0 d{i} 1\n" for i, split in enumerate(SPLITS)},
    },
    "texts": TEXTS,
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def prepared(root: Path, kind: str, place: str) -> None:
    """A study of a collection, with a backbone of its own, in the folder that this process is in."""
    params: dict[str, Any] = {"collection": {"source": f"{kind}:{place}", "documents": None}}
    make_params(root, backbone={"name": "mine"}, **params)
    prepare(f"{kind}:{place}", layout.COLLECTION, documents=None, splits=SPLITS)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    return tmp_path / "study"


def test_a_file_of_a_test_set_that_changes_is_named_with_the_stage_to_run_again(root: Path) -> None:
    for place in ("source", "tested"):
        write(root.parent / place, COLLECTIONS["beir"])
    prepared(root, "beir", "../source")
    tests = {"far": {"source": "beir:../tested"}, "new": {"source": "beir:../source"}}
    params = make_params(root, backbone={"name": "mine"}, collection=SOURCE, tests=tests)
    prepare_test(Path(), params, "far")
    assert list(changed_inputs(Path())) == []
    (root.parent / "tested/queries.jsonl").write_text("")
    assert list(changed_inputs(Path())) == [
        "../tested/queries.jsonl: is not what it was when the test set far was prepared; bring it back, or "
        "take it as it is now: `dvc repro --force prepare_test@far`, then `dvc repro`"
    ]


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_a_file_of_the_collection_that_changes_comes_or_goes_is_named(root: Path, kind: str) -> None:
    folder = root.parent / "source"
    write(folder, COLLECTIONS[kind])
    prepared(root, kind, "../source")
    assert list(changed_inputs(Path())) == []
    (folder / "README.rst").write_text("not read")
    assert list(changed_inputs(Path())) == []
    for name, content in COLLECTIONS[kind].items():
        (folder / name).write_text(content + " ")
        (said,) = changed_inputs(Path())
        assert said.startswith(f"../source/{name}: is not what it was when the collection was prepared")
        (folder / name).unlink()
        assert next(changed_inputs(Path())).startswith(f"../source/{name}: ")
        (folder / name).write_text(content)
    new = {"beir": "qrels/a.tsv", "trec": "documents/a/new", "texts": "new.md"}.get(kind, "qrels.new.tsv")
    (folder / new).write_text("")
    assert next(changed_inputs(Path())).startswith(f"../source/{new}: ")
    assert doctor.inputs().status == "fail"


def test_a_file_of_texts_is_a_source_too(root: Path) -> None:
    write(
        root.parent,
        {
            "all.jsonl": "".join(
                json.dumps({"_id": name, "text": text}) + "\n" for name, text in TEXTS.items()
            )
        },
    )
    prepared(root, "texts", "../all.jsonl")
    assert list(changed_inputs(Path())) == []
    (root.parent / "all.jsonl").write_text("")
    assert next(changed_inputs(Path())).startswith("../all.jsonl: is not what it was")


def test_nothing_is_said_where_the_study_was_told_another_place(root: Path) -> None:
    for place in ("source", "another"):
        write(root.parent / place, COLLECTIONS["beir"])
    prepared(root, "beir", "../source")
    (root.parent / "another" / "corpus.jsonl").write_text("")
    make_params(root, collection={"source": "beir:../another", "documents": None})
    assert list(changed_inputs(Path())) == []


def test_the_same_collection_at_another_place_has_the_same_manifest(root: Path) -> None:
    manifests = []
    for place in ("a/source", "b/source"):
        write(root.parent / place, COLLECTIONS["beir"])
        prepared(root, "beir", str(root.parent / place))
        manifests.append((layout.COLLECTION / "manifest.json").read_bytes())
    assert manifests[0] == manifests[1]


def test_a_backbones_folder_that_changes_is_told(root: Path) -> None:
    params = make_params(root, backbone={"name": "mine"})
    write_tiny_bert(Path("mine"), "ab")
    assert list(changed_inputs(Path())) == []  # nothing has been read yet
    settle(Path(), params)
    assert list(changed_inputs(Path())) == []
    Path("mine/config.json").write_text("{}")
    (said,) = changed_inputs(Path())
    assert said.startswith("mine/config.json: is not what it was")


def test_a_start_that_changes_is_told_for_each_training_from_it(root: Path) -> None:
    rates = {"learning_rate": {"retriever": 1e-3, "reranker": 1e-3}}
    mined = {"variant": "lora", "seed": 13, "negatives_from": "bm25", "with_bm25": False, "depth": 100}
    params = make_params(
        root,
        methods={"lora": {"type": "lora", "rank": 2, "start_from": {"retriever": "starts/lora-13"}, **rates}},
        variants={"retriever": ["lora"], "reranker": ["lora"]},
        mining={"first": mined},
    )
    write(Path("starts/lora-13"), {"adapter_config.json": "{}"})
    record = json.dumps({"start_from": fingerprint(Path("starts/lora-13"), ADAPTER)})
    for path in (layout.training("retriever", "lora", 13), layout.miner_paths("first").record):
        write(Path(), {str(path): record})
    assert params.methods["lora"].start_from and list(changed_inputs(Path())) == []
    write(Path("starts/lora-13"), {"adapter_config.json": "[]"})
    told = list(changed_inputs(Path()))
    assert all(line.startswith("starts/lora-13/adapter_config.json: is not what it was") for line in told)
    assert [line.rpartition(" ")[2] for line in told] == ["train_miner@first`", "train_retriever@lora-13`"]


def test_every_source_says_which_files_it_reads() -> None:
    assert FILES.keys() == SOURCES.keys()


def test_packages_that_are_not_as_in_the_lock_are_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"# a comment\nnumpy=={version('numpy')}\nnone==1; python_version < '3'\n")
    assert list(other_packages(lock)) == []
    lock.write_text("numpy==1.0\nnot-there-at-all==2.0\n")
    (said,) = other_packages(lock)
    assert said.startswith(
        f"numpy {version('numpy')} (==1.0), not-there-at-all is missing (==2.0): not as in"
    )
    assert list(other_packages(tmp_path / "none")) == []
