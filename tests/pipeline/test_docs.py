"""``peftir docs``: a folder of files becomes one that is served, and what has not changed is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from peftir.models import saving
from peftir.models.biencoder import encode, new_biencoder
from peftir.pipeline import docs
from peftir.pipeline.docs import prepare_docs, work_folder
from peftir.ranking.dense import stored_vectors
from peftir.serve.engine import Engine
from peftir.study import layout
from peftir.study.blocks import LearningRates, MethodParams
from peftir.study.params import Params, load_params
from peftir.system.errors import PeftirError
from tiny_backbone import write_tiny_bert

NOTES = {
    "wings.md": "# Wings\n\nlift of a wing\n\n## Tail\n\ndrag of a tail\n",
    "page.html": "<title>Span</title><p>the span of a wing</p>",
    "plain.txt": "pressure over the span",
}
WORDS = " ".join(NOTES.values()).replace("\n", " ").split()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text)
    return notes


@pytest.fixture
def model(folder: Path) -> Path:
    """A trained LoRA retriever on a tiny backbone, elsewhere."""
    backbone = write_tiny_bert(folder.parent / "backbone", WORDS)
    torch.manual_seed(3)
    lengths = {"query_length": 6, "document_length": 9}
    made = new_biencoder(str(backbone), pooling="cls", similarity="dot", query_prefix="wing ", **lengths)
    rates = LearningRates(retriever=0.1, reranker=0.1)
    saving.attach(made, "lora", MethodParams(type="lora", rank=2, learning_rate=rates))
    with torch.no_grad():
        for weight in made.parameters():
            if weight.requires_grad:
                weight += 0.2 * torch.randn(weight.shape)
    study = folder.parent / "study"
    saving.save(made.eval(), study / "lora-13", str(backbone), root=study)
    return study / "lora-13"


def prepared(folder: Path, model: Path, root: Path = Path("work")) -> tuple[Params, list[str]]:
    told: list[str] = []
    params = prepare_docs(folder, root, model, 1, told.append)
    assert load_params(root / "params.yaml") == params
    return params, told


def vectors(root: Path = Path("work")) -> dict[str, np.ndarray]:
    index = root / layout.index("lora", 13)
    return dict(zip((index / "ids.txt").read_text().split(), stored_vectors(index), strict=True))


def test_files_are_searched_by_words_and_with_the_given_model(folder: Path, model: Path) -> None:
    params, told = prepared(folder, model)
    assert told == [f"{folder}: 3 files, 4 sections"]
    engine = Engine(Path("work"), params)
    try:
        assert engine.chains.first_stages() == ["bm25", "lora-13", "rrf:lora-13"]
        (first, *_) = engine.search(engine.chains.parse("bm25"), "drag", 5).results
        assert (first.id, first.title) == ("wings.md#tail", "Wings: Tail")
        found = engine.rank(engine.chains.parse("lora"), "drag of a tail")
    finally:
        engine.close()
    alone = saving.load(SentenceTransformer, model)
    texts = {"wings.md": "Wings lift of a wing", "wings.md#tail": "Wings: Tail drag of a tail"}
    texts |= {"page.html": "Span the span of a wing", "plain.txt": "pressure over the span"}
    query = encode(alone, ["drag of a tail"], "query", "float32")[0]
    products = encode(alone, list(texts.values()), "document", "float32") @ query
    expected = dict(zip(texts, products.tolist(), strict=True))
    # float32, by up to 32 products of numbers up to 10 and in batches of another size
    assert dict(found) == pytest.approx(expected, abs=1e-4, rel=1e-5)
    assert [id for id, _ in found] == sorted(expected, key=lambda id: -expected[id])


def test_what_has_not_changed_is_kept(folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def counted(model: SentenceTransformer, texts: list[str], *rest: str) -> np.ndarray:
        encoded.extend(texts)
        return encode(model, texts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(docs, "encode", counted)
    prepared(folder, model)
    before = vectors()
    assert len(encoded) == 4
    assert prepared(folder, model)[1][-1] == "nothing has changed since the last time"
    (folder / "plain.txt").unlink()
    (folder / "wings.md").write_text(NOTES["wings.md"].replace("drag", "lift"))
    prepared(folder, model)
    assert encoded[4:] == ["Wings: Tail lift of a tail"]
    after = vectors()
    assert after.keys() == before.keys() - {"plain.txt"}
    changed = {id for id in after if not np.array_equal(after[id], before[id])}
    assert changed == {"wings.md#tail"}


def test_without_a_model_the_untrained_backbone_retrieves(folder: Path) -> None:
    params = prepare_docs(folder, Path("work"), None, 1, lambda line: None)
    assert load_params(Path("work/params.yaml")) == params
    engine = Engine(Path("work"), params)
    try:
        assert engine.chains.first_stages() == ["bm25", "backbone", "rrf:backbone"]
        assert engine.rank(engine.chains.parse("backbone"), "drag of a tail")[0][0] == "wings.md#tail"
    finally:
        engine.close()


def test_a_model_called_as_the_untrained_backbone_has_another_name(folder: Path, model: Path) -> None:
    params, _ = prepared(folder, model.rename(model.with_name("Backbone-7")))
    assert params.variants.retriever == ["adapter"]
    assert (Path("work") / layout.index("adapter", 7)).is_dir()


def test_a_folder_of_something_else_is_not_written_to(folder: Path, model: Path) -> None:
    """Such as a study; but the folder of an earlier attempt that failed is."""
    study = Path("study")
    (study / "params.yaml").write_text("mine\n")
    for into in (study, study / "params.yaml"):
        with pytest.raises(PeftirError, match=rf"^--into {into}: is no folder that peftir docs made; name"):
            prepare_docs(folder, into, model, 1, pytest.fail)
    assert (study / "params.yaml").read_text() == "mine\n"
    (folder / "empty").mkdir()
    with pytest.raises(PeftirError, match="expected some"):
        prepare_docs(folder / "empty", Path("work"), model, 1, pytest.fail)
    prepared(folder, model)


def test_the_work_folder_is_hidden_and_not_read(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    into = work_folder(Path())
    assert into.parts[0] == ".peftir" and into.name.startswith("notes-")
    for _ in range(2):
        assert prepared(Path(), model, into)[1][0] == ".: 3 files, 4 sections"
    assert {path.name for path in folder.iterdir()} == {*NOTES, ".peftir"}


def test_a_mistake_is_one_line_and_leaves_nothing(folder: Path, model: Path) -> None:
    (folder / "empty").mkdir()
    for asked, said in (
        ((folder / "none", Path("work"), None), "none: no such folder; expected one of .txt, .md"),
        ((folder, folder / "work", None), "/work: is in .*, whose files are read"),
        ((folder, Path("work"), folder), "notes: no model that peftir saved .*; expected a folder such as"),
    ):
        with pytest.raises(PeftirError, match=said):
            prepare_docs(*asked, 1, pytest.fail)
        assert not Path("work").exists()
    with pytest.raises(PeftirError, match=r"empty: has no .txt, .md, .*.htm file; expected some"):
        prepare_docs(folder / "empty", Path("work"), model, 1, pytest.fail)
