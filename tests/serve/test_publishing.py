"""``peftir export --with-index`` writes what is served elsewhere, and ``--push`` uploads the folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
from served_study import SEEDS

from local_hub import local_hub
from peftir.pipeline.export import export
from peftir.pipeline.publishing import check_hub_id, push, write_indexes
from peftir.serve.engine import Engine
from peftir.serve.judged_queries import OWN
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.starts import StartFrom
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError
from peftir.system.files import write_json


def exported(
    study: Path,
    to: Path,
    stage: StageName,
    variant: str,
    monkeypatch: pytest.MonkeyPatch,
    merged: bool = False,
) -> Path:
    """A folder moved to where it was not written, so that no path leads there."""
    monkeypatch.chdir(study)
    training = {
        "stage": stage,
        "type": variant,
        "knobs": {},
        "weights": {"trained": 1, "head": 0, "share": 0.1},
        "seed": 13,
    }
    training |= {"steps": 1, "best_step": 1, "measure": "RR@10", "best_dev": 0.5}
    record = study / layout.training(stage, variant, SEEDS[0])
    write_json(record, training)
    export(Path(), load_params(), variant, stage, SEEDS[0], to / "written", merged=merged, with_index=True)
    record.unlink()
    (to / "written").rename(to / "moved")
    monkeypatch.chdir(to)
    return to / "moved"


@pytest.mark.parametrize(
    ("stage", "variant", "merged", "chain"),
    [
        ("retriever", "iaa_l", False, "iaa_l-13"),
        ("retriever", "lora", True, "lora-13"),
        ("reranker", "lora", False, "bm25/lora-13"),
    ],
)
def test_it_ranks_elsewhere_as_in_the_study(
    served_study: Path,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: StageName,
    variant: str,
    merged: bool,
    chain: str,
) -> None:
    folder = exported(served_study, tmp_path, stage, variant, monkeypatch, merged)
    for file in ("params.yaml", "backbone.lock"):
        assert str(served_study) not in (folder / file).read_text(encoding="utf-8")
    elsewhere = Engine(folder, load_params(folder / "params.yaml"))
    try:
        assert [*elsewhere.chains.retrievers, *elsewhere.chains.rerankers] == [f"{variant}-13"]
        for text in engine.judged.sets[OWN].values():
            found = elsewhere.rank(elsewhere.chains.parse(chain), text)
            expected = engine.rank(engine.chains.parse(chain), text)
            if not merged:
                assert found == expected
            # Merged weights are rounded to float32: by 6e-8, which each layer enlarges some ten times.
            assert dict(found) == pytest.approx(dict(expected), abs=1e-5)
    finally:
        elsewhere.close()


def test_the_params_have_no_private_path(
    served_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(served_study)
    content = load_params().model_dump()
    content["collection"]["source"] = "beir:/home/ada/nfcorpus"
    content["methods"]["lora"]["start_from"] = {"retriever": "../ada/lora-7", "reranker": "~/ada/lora-8"}
    content["teachers"] = {
        "file": {"scores": "/home/ada/scores.tsv", "negatives_from": "bm25", "depth": 1},
        "own": {"scores": "models/reranker/full-13", "negatives_from": "bm25", "depth": 1},
    }
    write_indexes(Path(), Params.model_validate(content), "lora", "reranker", SEEDS[0], tmp_path)
    given = load_params(tmp_path / "params.yaml")
    assert "ada/" not in (tmp_path / "params.yaml").read_text()
    assert given.methods["lora"].start_from == StartFrom(retriever="lora-7", reranker="lora-8")
    scores = {name: teacher.scores for name, teacher in given.teachers.items()}
    assert scores == {"file": "scores.tsv", "own": "models/reranker/full-13"}


def test_without_its_index_nothing_is_written(
    served_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = served_study / layout.index("lora", SEEDS[0])
    shutil.move(index, tmp_path / "index")
    try:
        with pytest.raises(PeftirError, match=r"lora-13: is missing; `dvc repro index@lora-13` makes it"):
            exported(served_study, tmp_path, "retriever", "lora", monkeypatch)
    finally:
        shutil.move(tmp_path / "index", index)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_uploaded_to_a_private_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"README.md": b"# lora", "models/model.safetensors": bytes(range(256))}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with local_hub() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        assert push(tmp_path, "some/model") == f"{hub.url}/some/model"
        assert hub.uploaded == files
        assert hub.created == [{"organization": "some", "name": "model", "visibility": "private"}]
    with pytest.raises(PeftirError, match=r"--push some/model: not uploaded .*`hf upload some/model "):
        push(tmp_path, "some/model")
    with pytest.raises(PeftirError, match=r"--push a/b/c: Repo id must be"):
        check_hub_id("a/b/c")
