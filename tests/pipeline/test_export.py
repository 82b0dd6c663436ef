"""Exported folders: what plain sentence-transformers makes of them, and what the card says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.models import saving
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.pipeline.export import export
from peftir.pipeline.onnx_export import export_onnx, missing_packages
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.system.files import write_json
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

TEXTS = ["sort a list", "open the file", "a line of text and a path to it", ""]
PAIRS = [("sort a list", text) for text in TEXTS]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's artefacts: a collection, three tiny trained models and their measures."""
    root = tmp_path_factory.mktemp("study")
    content = Content(
        documents=[Document(f"d{i}", "", text or "none") for i, text in enumerate(TEXTS)],
        qrels={"train": [Judgement("q0", "d0", 1)], "test": [Judgement("q1", "d1", 1)]},
        queries=[Query("q0", "sort"), Query("q1", "open")],
        origin={"source": "a test"},
    )
    write_collection(root / layout.COLLECTION, content)
    write_tiny_bert(root / "backbone", " ".join(TEXTS).split())
    return root


@pytest.fixture(scope="module")
def params(root: Path) -> Params:
    return make_params(root, backbone={"name": str(root / "backbone")})


@pytest.fixture(autouse=True)
def _in_the_study(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


def train(root: Path, params: Params, stage: str, variant: str, knobs: dict[str, int]) -> Any:
    """A model whose weights are no longer those that it started with, saved as a stage would."""
    name = params.backbone.name
    torch.manual_seed(7)
    if stage == "retriever":
        model: Any = new_biencoder(name, pooling="mean", query_length=8, document_length=12)
    else:
        model = new_crossencoder(name, length=16)
    method = params.methods[variant].model_copy(update={"budget": None, **knobs})
    saving.attach(model, variant, method)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape)
    saving.save(model, root / layout.model(stage, variant, 13), name)
    training = {
        "seed": 13,
        "stage": stage,
        "type": method.type,
        "knobs": knobs,
        "weights": {"trained": 1234, "head": 33 if stage == "reranker" else 0, "share": 0.0123},
        "steps": 60,
        "best_step": 40,
        "best_dev": 0.61234,
        "measure": "RR@10",
    }
    write_json(root / layout.training(stage, variant, 13), training)
    return model.eval()


def scores(model: Any) -> np.ndarray:
    return model.predict(PAIRS) if isinstance(model, CrossEncoder) else model.encode_document(TEXTS)


@pytest.mark.parametrize("stage", ["retriever", "reranker"])
def test_a_merged_lora_is_whole_and_scores_the_same(
    root: Path, params: Params, stage: str, tmp_path: Path
) -> None:
    trained = train(root, params, stage, "lora", {"rank": 3})
    export(Path(), params, "lora", stage, 13, tmp_path / "out", merged=True)
    assert not list((tmp_path / "out").glob("adapter*"))
    (root / "backbone").rename(root / "elsewhere")  # it is not needed any more
    try:
        loaded = {"retriever": SentenceTransformer, "reranker": CrossEncoder}[stage](str(tmp_path / "out"))
    finally:
        (root / "elsewhere").rename(root / "backbone")
    assert not hasattr(loaded[0].model, "peft_config")
    # Merged weights are rounded to float32: by 6e-8, which each of the two layers enlarges some ten times.
    found, expected = scores(loaded.double()), scores(trained.double())
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("variant", ["iaa_l", "full"])
def test_unmerged_it_is_the_trained_folder_and_a_card(
    root: Path, params: Params, variant: str, tmp_path: Path
) -> None:
    knobs = {"rank": 2, "aside_rank": 2} if variant == "iaa_l" else {}
    trained = train(root, params, "retriever", variant, knobs)
    source = layout.model("retriever", variant, 13)
    for merged in (False, True) if variant == "full" else (False,):
        out = tmp_path / str(merged)
        export(Path(), params, variant, "retriever", 13, out, merged=merged)
        assert {path.name for path in out.iterdir()} == {path.name for path in source.iterdir()} | {
            "README.md"
        }
        assert np.array_equal(scores(SentenceTransformer(str(out))), scores(trained))
        assert ("import peftir.tuners" in (out / "README.md").read_text()) == (variant == "iaa_l")


def test_the_card_says_what_it_is_and_how_well_it_does(root: Path, params: Params, tmp_path: Path) -> None:
    train(root, params, "reranker", "lora", {"rank": 3})
    export(Path(), params, "lora", "reranker", 13, tmp_path / "before", merged=False)
    assert "Not measured." in (tmp_path / "before/README.md").read_text()
    means = {name: {"RR@10": value} for name, value in (("bm25", 0.5), ("lora", 0.55), ("lora+bm25", 0.6))}
    write_json(root / layout.metrics("reranking"), means)
    export(Path(), params, "lora", "reranker", 13, tmp_path / "out", merged=False)
    card = (tmp_path / "out/README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["pipeline_tag"] == "text-ranking"
    assert "base_model" not in front  # a local folder is no hub id
    for said in (
        "| data | pydocs: 4 documents, 1 train queries, 0 dev queries, 1 test queries |",
        "lora: a low-rank update of the query and value projections (Hu et al. 2022, section 4); rank 3 |",
        "1,234, 1.23% of the backbone’s; the head’s 33 are trained too |",
        "seed 13, 60 steps, the best on dev was step 40 with RR@10 0.612 |",
        "| lora | 0.550 |\n| lora+bm25 | 0.600 |\n| bm25 | 0.500 |",
        "Means over 1 test queries",
        "it needs `./backbone` under this path from where Python starts",
        "head_learning_rate: 0.001",
    ):
        assert said in card


def test_the_card_has_no_private_path(root: Path, params: Params, tmp_path: Path) -> None:
    train(root, params, "retriever", "lora", {"rank": 3})
    content = params.model_dump()
    content["methods"]["lora"]["start_from"] = {"retriever": "/home/ada/study/lora-7", "reranker": None}
    content["collection"]["source"] = "beir:/home/ada/a:b"
    private = Params.model_validate(content)
    export(Path(), private, "lora", "retriever", 13, tmp_path / "out", merged=False)
    card = (tmp_path / "out/README.md").read_text()
    assert "retriever: lora-7\n" in card and "| beir:a:b: 4 documents" in card
    # A backbone outside of the study is loaded from its place, which is told for that alone.
    settings = card.partition("## Settings")[2]
    assert "/ada" not in card and str(root) not in settings and "name: backbone\n" in settings


@pytest.mark.skipif(bool(missing_packages()), reason="needs the extra onnx")
@pytest.mark.parametrize(("stage", "variant"), [("retriever", "iaa_l"), ("reranker", "adapter")])
def test_as_onnx_the_card_s_code_computes_what_the_model_does(
    root: Path,
    params: Params,
    stage: Any,
    variant: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    knobs = {"rank": 2, "aside_rank": 2} if variant == "iaa_l" else {"rank": 2}
    trained = train(root, params, stage, variant, knobs)
    [compared] = export_onnx(Path(), params, variant, stage, 13, tmp_path / "out")
    assert 0 < compared.difference < 1e-5 and compared.texts >= len(TEXTS)
    code = (tmp_path / "out/README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(code.replace("FOLDER", "out"), {})
    found = [float(number) for number in re.findall(r"-?\d+\.\d*(?:e-?\d+)?", capsys.readouterr().out)]
    if stage == "retriever":
        expected = trained.similarity(
            trained.encode_query(["a query"]), trained.encode_document(["a document", "another"])
        )
    else:
        expected = trained.predict([("a query", "a document"), ("a query", "another")])
    assert found == pytest.approx(np.ravel(expected).tolist(), abs=1e-5)


@pytest.mark.skipif(not missing_packages(), reason="the extra onnx is installed")
def test_without_its_packages_onnx_is_refused(root: Path, params: Params, tmp_path: Path) -> None:
    train(root, params, "retriever", "iaa_l", {"rank": 2, "aside_rank": 2})
    with pytest.raises(PeftirError, match=r"--onnx: needs .*onnxscript.*; pip install 'peftir\[onnx\]'"):
        export_onnx(Path(), params, "iaa_l", "retriever", 13, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_done_is_a_line_and_leaves_nothing(root: Path, params: Params, tmp_path: Path) -> None:
    train(root, params, "retriever", "iaa_l", {"rank": 2, "aside_rank": 2})
    with pytest.raises(PeftirError, match="--merged: iaa_l: its modules are no change of the backbone's own"):
        export(Path(), params, "iaa_l", "retriever", 13, tmp_path / "out", merged=True)
    with pytest.raises(
        PeftirError, match=r"adapter-13: no trained model here; `dvc repro train_retriever@ada"
    ):
        export(Path(), params, "adapter", "retriever", 13, tmp_path / "out", merged=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PeftirError, match=f"--to {tmp_path}: is there already"):
        export(Path(), params, "iaa_l", "retriever", 13, tmp_path, merged=False)
