"""Where a backbone comes from, in fresh processes with caches of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from local_hub import LocalHub, local_hub
from peftir.models import manifest, saving
from peftir.models.backbone import backbone_folder, base_name, link_wheels, on_own_backbone, wheel_folder
from peftir.models.biencoder import encode, new_biencoder
from peftir.study.params import MethodParams
from peftir.system.errors import PeftirError
from tiny_backbone import write_tiny_bert

NAME = "sentence-transformers/all-MiniLM-L6-v2"


PRINTS_FOLDER = f"from peftir.models.backbone import *; print(backbone_folder({NAME!r}))"


def in_fresh_process(code: str, cache: Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``code`` without a network, with nothing but what is in ``cache``."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"HF_HOME": str(cache), "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"},
    )


def snapshot_of(name: str, commit: str, cache: Path) -> Path:
    """An empty snapshot in the Hugging Face cache, as its main branch."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(commit)
    return snapshot


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_wheels_model_is_read_where_it_is_and_the_cache_stays_empty(tmp_path: Path) -> None:
    found = in_fresh_process(PRINTS_FOLDER, tmp_path)
    assert found.stdout.strip() == str(wheel_folder(NAME))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "there", [(), ("config.json", "tokenizer.json"), ("config.json", "model.safetensors")]
)
def test_whatever_the_cache_has_of_it_the_wheels_model_is_taken_and_the_cache_left_alone(
    tmp_path: Path, there: tuple[str, ...]
) -> None:
    snapshot = snapshot_of(NAME, "a" * 40, tmp_path)
    for file in there:
        (snapshot / file).write_text("{}")
    before = content_of(tmp_path)
    assert in_fresh_process(PRINTS_FOLDER, tmp_path).stdout.strip() == str(wheel_folder(NAME))
    assert content_of(tmp_path) == before


def test_four_processes_that_start_on_a_fresh_machine_all_find_it(tmp_path: Path) -> None:
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", f"{PRINTS_FOLDER}; link_wheels(Path({str(tmp_path)!r}))"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [process.communicate() for process in started] == [(f"{wheel_folder(NAME)}\n", "")] * 4
    link = tmp_path / NAME
    assert [*link.parent.iterdir()] == [link] and link.samefile(wheel_folder(NAME) or "")


@pytest.mark.parametrize(
    ("there", "lost"),
    [
        (("config.json", "tokenizer.json"), "model.safetensors"),  # as AutoTokenizer leaves it
        (("config.json", "model.safetensors"), None),  # as AutoModel does
        (("config.json", "model.safetensors.index.json", "tokenizer.json", "a.safetensors"), "b.safetensors"),
    ],
)
def test_a_part_of_a_model_in_the_cache_is_not_a_model(
    tmp_path: Path, there: tuple[str, ...], lost: str | None
) -> None:
    snapshot = snapshot_of("some/model", "a" * 40, tmp_path)
    for file in there:
        (snapshot / file).write_text('{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}')
    done = in_fresh_process("from peftir.models.backbone import *; backbone_folder('some/model')", tmp_path)
    assert "PeftirError: backbone.name: 'some/model': " in done.stderr if lost else done.returncode == 0
    assert f"{snapshot} has no {lost}" in done.stderr if lost else True


def test_a_local_folder_is_taken_as_it_is_and_saved_by_its_path_in_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("study/mine", "beside"):
        (tmp_path / place).mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            (tmp_path / place / file).write_text("{}")
    monkeypatch.chdir(tmp_path / "study")
    assert backbone_folder("mine") == Path("mine")
    for name in ("mine", "./mine", str(tmp_path / "study" / "mine")):
        assert base_name(name) == "./mine"  # no hub has an id like that
    assert base_name("../beside") == "../beside"
    assert base_name(str(tmp_path / "beside")) == str(tmp_path / "beside")
    link_wheels(Path())
    assert base_name(NAME) == NAME


def test_a_folder_without_weights_as_safetensors_is_refused(tmp_path: Path) -> None:
    for file in ("config.json", "pytorch_model.bin"):
        (tmp_path / file).write_text("{}")
    with pytest.raises(PeftirError, match=r"has no model\.safetensors; expected a model with its weights as"):
        backbone_folder(str(tmp_path))


def test_an_unknown_one_says_what_to_do_offline(tmp_path: Path) -> None:
    done = in_fresh_process("from peftir.models.backbone import *; backbone_folder('no/such')", tmp_path)
    assert "backbone.name: 'no/such'" in done.stderr
    assert "copy the model's folder here" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_is_not_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PeftirError, match=r"backbone\.name"):
        backbone_folder(str(tmp_path))


def test_a_revision_is_taken_from_the_cache_and_not_from_the_wheel(tmp_path: Path) -> None:
    snapshots = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots"
    for commit in ("a" * 40, "b" * 40):
        (snapshots / commit).mkdir(parents=True)
        for file in ("config.json", "model.safetensors", "tokenizer.json"):
            (snapshots / commit / file).write_text("{}")
    code = f"""
from peftir.models.backbone import *
print(backbone_folder({NAME!r}, {"b" * 40!r}))
backbone_folder({NAME!r}, "v1")
"""
    done = in_fresh_process(code, tmp_path)
    assert done.stdout.strip() == str(snapshots / ("b" * 40))
    assert f"backbone.name: {NAME!r} at revision 'v1'" in done.stderr
    assert "with null as backbone.revision" in done.stderr


def test_a_local_folder_has_no_revision(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PeftirError, match=r"backbone\.revision: 'main': expected null"):
        backbone_folder(str(tmp_path), "main")


def test_a_saved_model_is_shown_with_the_revision_of_its_backbone(tmp_path: Path) -> None:
    cache, saved = tmp_path / "cache", tmp_path / "saved"
    snapshot = snapshot_of("some/model", "c" * 40, cache)
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        (snapshot / file).write_text("{}")
    saved.mkdir()
    (saved / "modules.json").write_text("[]")
    adapter = {"base_model_name_or_path": "some/model", "revision": "c" * 40, "r": 3}
    (saved / "adapter_config.json").write_text(json.dumps(adapter))
    code = f"""
from peftir.models.backbone import *
record = record_of("some/model", None)
assert record["commit"] == {"c" * 40!r}
with on_own_backbone(Path({str(saved)!r}), record) as folder:
    print((folder / "adapter_config.json").read_text(), (folder / "modules.json").read_text())
"""
    shown, modules = in_fresh_process(code, cache).stdout.rsplit(maxsplit=1)
    assert json.loads(shown) == adapter | {"base_model_name_or_path": str(snapshot)}
    assert modules == "[]"
    assert json.loads((saved / "adapter_config.json").read_text()) == adapter
    (saved / "adapter_config.json").unlink()
    with on_own_backbone(saved, {}) as folder:
        assert folder == saved


TEXTS = ["sort a list", "open the file"]
RATES = {"retriever": 1e-3, "reranker": 1e-3}
LORA = MethodParams.model_validate({"type": "lora", "rank": 2, "learning_rate": RATES})


def trained_on(name: str, folder: Path, method: MethodParams = LORA) -> np.ndarray:
    """Save a model on the backbone ``name`` to ``folder``; gives its vectors of TEXTS."""
    model = new_biencoder(name, pooling="mean", query_length=8, document_length=8)
    saving.attach(model, "any", method)
    saving.save(model, folder, name)
    return vectors(model)


def vectors(model: SentenceTransformer) -> np.ndarray:
    return encode(model, TEXTS, "document", "float32")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study with a backbone of its own, and a model trained on it, where this process is."""
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    write_tiny_bert(Path("mine"), " ".join(TEXTS).split())
    return tmp_path / "study"


@pytest.mark.parametrize("changed", ["model.safetensors", "config.json"])
def test_an_adapter_is_not_loaded_on_other_weights_of_the_same_name(study: Path, changed: str) -> None:
    saved = trained_on("mine", Path("saved"))
    assert np.array_equal(vectors(saving.load(SentenceTransformer, Path("saved"))), saved)
    file = study / "mine" / changed
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    with pytest.raises(
        PeftirError, match=rf"saved: was trained on another backbone than .*mine/{changed} has"
    ):
        saving.load(SentenceTransformer, Path("saved"))


def test_a_study_that_moves_takes_its_models_and_its_backbone_along(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = trained_on(str(study / "mine"), Path("models/lora"))
    shutil.move(study, study.with_name("elsewhere"))
    monkeypatch.chdir(study.with_name("elsewhere"))
    assert np.array_equal(vectors(saving.load(SentenceTransformer, Path("models/lora"))), saved)
    # And so does plain sentence-transformers, there.
    plain = SentenceTransformer("models/lora").double()
    exact = vectors(saving.load(SentenceTransformer, Path("models/lora")).double())
    assert np.allclose(plain.encode_document(TEXTS), exact, rtol=0, atol=1e-12)


def test_a_study_is_used_from_another_folder(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = trained_on("mine", Path("models/lora"))
    settings = {"pooling": "mean", "query_length": 8, "document_length": 8}
    untuned = vectors(new_biencoder("mine", **settings))
    monkeypatch.chdir(study.parent)
    assert np.array_equal(vectors(new_biencoder("mine", root=study, **settings)), untuned)
    assert np.array_equal(vectors(saving.load(SentenceTransformer, study / "models/lora", study)), saved)
    model = new_biencoder("mine", root=study, **settings)
    saving.attach(model, "any", LORA)
    saving.save(model, study / "models/again", "mine", root=study)
    for file in ("adapter_config.json", "manifest.json"):
        assert (study / "models/again" / file).read_text() == (study / "models/lora" / file).read_text()


def test_a_backbone_that_has_another_name_by_now_is_known_by_its_content(study: Path) -> None:
    saved = trained_on("mine", Path("saved"))
    shutil.move("mine", "renamed")
    with pytest.raises(PeftirError, match=r"backbone\.name: './mine'"):
        saving.load(SentenceTransformer, Path("saved"))
    Path("backbone.lock").write_text('{"name": "renamed", "commit": null}')
    assert np.array_equal(vectors(saving.load(SentenceTransformer, Path("saved"))), saved)


LOADS = """
import sys
import peftir.tuners
from sentence_transformers import CrossEncoder, SentenceTransformer
print(SentenceTransformer("saved/retriever").encode_document(["a text"]).shape)
print(CrossEncoder("saved/reranker").predict([("a", "text")]).shape)
"""


def test_models_on_the_wheels_backbone_load_offline_in_the_study_and_by_hub_id(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "study"
    folder.mkdir()
    made = f"""
from pathlib import Path
from peftir.models.backbone import link_wheels
link_wheels(Path())
exec({TUNED.replace("sys.argv[2]", "'saved'").replace("sys.argv[1]", repr(NAME))!r})
save(retriever, Path("saved/retriever"), name)
save(new_crossencoder(name, length=16), Path("saved/reranker"), name)
"""
    for code in (made, LOADS):
        done = in_fresh_process(code, home, folder)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["(1, 384)", "(1,)"]
    assert not home.exists()
    adapter = json.loads((folder / "saved/retriever/adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == NAME


TUNED = """
import sys
from pathlib import Path
from sentence_transformers import CrossEncoder, SentenceTransformer
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.models.saving import load, save, transformer_of
from peftir.tuners import attach

name, folder = sys.argv[1], Path(sys.argv[2])
retriever = new_biencoder(name, pooling="mean", query_length=8, document_length=8)
for kind, model in ((SentenceTransformer, retriever), (CrossEncoder, new_crossencoder(name, length=16))):
    attach(transformer_of(model), "lora", rank=1)
    save(model, folder, name)
    assert transformer_of(load(kind, folder)).active_adapters() == ["default"]
    assert "local_files_only" not in (folder / "tokenizer_config.json").read_text()
"""


def online(code: str, hub: LocalHub, cache: Path, *arguments: str) -> subprocess.Popen[str]:
    """``code`` in a fresh process that has this hub and no other."""
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_backbone_is_downloaded_once_by_processes_that_start_together_and_then_not_asked_for_again(
    tmp_path: Path,
) -> None:
    write_tiny_bert(tmp_path / "first", "a")
    (tmp_path / "first" / "pytorch_model.bin").write_text("not to be downloaded")
    with local_hub() as hub:
        commit = hub.push(tmp_path / "first")
        code = "from peftir.models.backbone import *; print(backbone_folder('some/model'))"
        together = [online(code, hub, tmp_path / "cache") for _ in range(4)]
        said = [process.communicate() for process in together]
        assert [Path(out.strip()).name for out, _ in said] == [commit] * 4, said
        assert not [path for path in hub.asked if "pytorch_model.bin" in path]
        shutil.copytree(tmp_path / "first", tmp_path / "second")
        hub.push(tmp_path / "second")
        hub.asked.clear()
        # To train and to load takes the one that is there, though the hub has a newer one by now.
        tuned = online(TUNED, hub, tmp_path / "cache", "some/model", str(tmp_path / "saved"))
        error = tuned.communicate()[1]
        assert tuned.returncode == 0, error
        assert hub.asked == []
    assert manifest.read(tmp_path / "saved")["backbone"]["commit"] == commit


def test_what_a_tokenizer_alone_left_in_the_cache_is_completed_by_the_hub(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path / "first", "a")
    with local_hub() as hub:
        hub.push(tmp_path / "first")
        for code in (
            "from transformers import AutoTokenizer; AutoTokenizer.from_pretrained('some/model')",
            "from peftir.models.backbone import *; print(*backbone_folder('some/model').iterdir())",
        ):
            out, error = online(code, hub, tmp_path / "cache").communicate()
    assert "model.safetensors" in out, error
