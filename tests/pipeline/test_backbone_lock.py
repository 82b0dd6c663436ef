"""The study's backbone: one commit and one content from the first stage to the last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_hub import local_hub
from peftir.models.backbone import backbone_folder
from peftir.pipeline.backbone import as_settled, settle, settled
from peftir.pipeline.count import count_variants
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from structure import ROOT
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Those of a study with a backbone of its own, where this process is."""
    monkeypatch.chdir(tmp_path)
    write_tiny_bert(Path("mine"), "ab")
    return make_params(tmp_path, backbone={"name": "mine"})


def lock() -> dict[str, object]:
    return json.loads(Path("backbone.lock").read_text())


def stage(**environment: str) -> str:
    """What the stage says in this folder."""
    done = subprocess.run(
        [sys.executable, ROOT / "stages" / "backbone.py"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_hub_id_stays_at_the_commit_that_the_study_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = make_params(tmp_path, backbone={"name": "some/model"})
    write_tiny_bert(Path("first"), "ab")
    write_tiny_bert(Path("second"), "abc")
    with local_hub() as hub:
        machine = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        commit = hub.push(tmp_path / "first")
        assert commit in stage(HF_HUB_CACHE=str(tmp_path / "cache"), **machine)
        before = lock()
        assert before["commit"] == commit
        newer = hub.push(tmp_path / "second")
        # Another machine, which has neither in its cache.
        assert commit in stage(HF_HUB_CACHE=str(tmp_path / "another"), **machine)
        assert lock() == before
        assert as_settled(Path(), params).backbone.revision == commit
        Path("backbone.lock").unlink()
        assert as_settled(Path(), params) == params
        assert newer in stage(HF_HUB_CACHE=str(tmp_path / "third"), **machine)
    with pytest.raises(PeftirError, match=rf"backbone\.lock: expected that of 'some/model' with .*{newer}"):
        settled(Path(), params.at_commit(newer))  # other params, and so another lock


@pytest.mark.parametrize("changed", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_changes_under_the_study_is_an_error_until_it_is_taken_anew(
    params: Params, changed: str
) -> None:
    settle(Path(), params)
    assert settled(Path(), params) == params
    file = Path("mine") / changed
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(PeftirError, match=rf"mine/{changed}: is not what it was when backbone\.lock was"):
        settled(Path(), params)
    settle(Path(), params)
    assert settled(Path(), params) == params


@pytest.mark.parametrize("changed", ["modules.json", "1_Pooling/config.json"])
def test_the_pooling_of_a_model_is_pinned_where_it_is_used(
    tmp_path: Path, params: Params, changed: str
) -> None:
    settle(Path(), params)
    file = Path("mine") / changed
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    assert settled(Path(), params) == params
    own = make_params(tmp_path, backbone={"name": "mine", "pooling": "model"})
    settle(Path(), own)
    assert settled(Path(), own) == own
    file.write_text("[]")
    with pytest.raises(PeftirError, match=rf"mine/{changed}: is not what it was when backbone\.lock was"):
        settled(Path(), own)


def test_what_has_nothing_to_do_with_the_numbers_may_change(params: Params) -> None:
    settle(Path(), params)
    Path("mine/README.md").write_text("about it")
    Path("mine/modules.json").write_text("[]")
    assert settled(Path(), params) == params


def test_without_a_lock_or_with_a_damaged_one_a_line_says_what_to_run(params: Params) -> None:
    with pytest.raises(PeftirError, match=r"backbone\.lock: expected that of 'mine' .* the stage 'back"):
        settled(Path(), params)
    Path("backbone.lock").write_text("{")
    with pytest.raises(PeftirError, match=r"backbone\.lock: is damaged"):
        settled(Path(), params)


def test_a_folder_without_a_tokenizer_is_refused_but_can_be_counted(params: Params) -> None:
    for path in Path("mine").glob("tokenizer*"):
        path.unlink()
    with pytest.raises(PeftirError, match=r"'mine': mine has no tokenizer; expected tok"):
        settle(Path(), params)
    assert not Path("backbone.lock").exists()
    assert count_variants(Path(), params, "mine", ["zero_shot"])[0].trained == 0


def test_the_default_study_takes_the_wheel_and_no_hub_whatever_the_cache_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = json.loads((ROOT / "backbone.lock").read_text())
    monkeypatch.chdir(tmp_path)
    params = make_params(tmp_path)
    said = stage(HF_HOME=str(tmp_path / "home"))
    assert str(backbone_folder(params.backbone.name)) in said
    assert lock() == committed
    assert Path(params.backbone.name).is_symlink()  # where libraries look before they ask the hub
    assert settled(Path(), params) == params
    assert not (tmp_path / "home").exists()
