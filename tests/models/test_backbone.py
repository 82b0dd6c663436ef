"""Where a backbone comes from, in fresh processes with caches of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from peftir.models.backbone import backbone_folder, base_name, on_own_backbone
from peftir.system.errors import PeftirError

NAME = "sentence-transformers/all-MiniLM-L6-v2"


PRINTS_FOLDER = f"from peftir.models.backbone import *; print(backbone_folder({NAME!r}))"


def in_fresh_process(code: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )


def test_the_wheels_model_gets_into_an_empty_cache_where_every_library_finds_it(tmp_path: Path) -> None:
    put = in_fresh_process(PRINTS_FOLDER, tmp_path)
    assert put.returncode == 0, put.stderr
    assert (Path(put.stdout.strip()) / "model.safetensors").is_file()
    assert put.stdout.startswith(str(tmp_path))
    # transformers alone, by the hub's id, offline.
    read = f"from transformers import AutoConfig; print(AutoConfig.from_pretrained({NAME!r}).hidden_size)"
    assert in_fresh_process(read, tmp_path).stdout.strip() == "384"


def test_a_model_that_is_in_the_cache_already_is_left_alone(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / snapshot.parts[-3] / "refs").mkdir()
    (tmp_path / snapshot.parts[-3] / "refs" / "main").write_text("abc")
    found = in_fresh_process(PRINTS_FOLDER, tmp_path)
    assert found.stdout.strip() == str(snapshot)


def test_a_local_folder_is_taken_as_it_is_and_saved_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert backbone_folder("mine") == Path("mine")
    assert base_name("mine") == str(tmp_path / "mine")
    assert base_name(NAME) == NAME


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
        (snapshots / commit / "config.json").write_text("{}")
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
    snapshot = cache / "models--some--model" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    saved.mkdir()
    (saved / "modules.json").write_text("[]")
    adapter = {"base_model_name_or_path": "some/model", "revision": "c" * 40, "r": 3}
    (saved / "adapter_config.json").write_text(json.dumps(adapter))
    code = f"""
from peftir.models.backbone import *
with on_own_backbone(Path({str(saved)!r})) as folder:
    print((folder / "adapter_config.json").read_text(), (folder / "modules.json").read_text())
"""
    shown, modules = in_fresh_process(code, cache).stdout.rsplit(maxsplit=1)
    assert json.loads(shown) == adapter | {"base_model_name_or_path": str(snapshot)}
    assert modules == "[]"
    assert json.loads((saved / "adapter_config.json").read_text()) == adapter
    (saved / "adapter_config.json").unlink()
    with on_own_backbone(saved) as folder:
        assert folder == saved


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


def test_an_adapter_on_a_cached_backbone_is_made_and_loaded_without_asking_the_hub(tmp_path: Path) -> None:
    backbone_folder(NAME)  # in the cache from now on, if it was not
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_GET = do_HEAD

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        online = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", TUNED, NAME, str(tmp_path / "saved")]
        done = subprocess.run(command, env=os.environ | online, capture_output=True, text=True, check=False)
        hub.shutdown()
    assert done.returncode == 0, done.stderr
    assert asked == []
