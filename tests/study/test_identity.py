"""Unfinished work goes on where the code, settings, inputs and libraries behind its result are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftir.pipeline import encode
from peftir.study import identity as module
from peftir.study.identity import identity, sources
from peftir.training import fitting
from structure import COMMON, ROOT, SRC, closure, room_of

CODE = {
    **{f"train_{stage}": [*fitting.CODE, f"pipeline.train_{stage}"] for stage in ("retriever", "reranker")},
    "encode": [*encode.CODE],
}


@pytest.mark.parametrize("name", CODE)
def test_every_module_that_a_result_follows_from_is_named_and_the_report_is_not(name: str) -> None:
    named = set(sources(CODE[name]))
    behind = {
        path
        for path in closure(SRC / f"peftir/pipeline/{name}.py")
        if path.name != "__init__.py" and room_of(path) not in COMMON
    }
    assert behind <= named
    rooms = {room_of(path) for path in named}
    assert {"tuners", "models"} <= rooms and not rooms & {"report", "diff", "learning", "statistics"}
    assert all(path.is_file() and ROOT in path.parents for path in named)


def test_an_identity_changes_with_settings_inputs_code_and_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    (tmp_path / "tuners").mkdir()
    code, data, prose = tmp_path / "tuners/lora.py", tmp_path / "train.trec", tmp_path / "report.py"
    for path in (code, data, prose):
        path.write_text("before")

    def now(**facts: object) -> str:
        return identity({"precision": "float32"} | facts, code=["tuners"], files=[data])

    seen = [now()]
    prose.write_text("after")
    assert now() == seen[0]
    seen.append(now(precision="bfloat16"))
    for path in (code, data):
        path.write_text("after")
        seen.append(now())
    monkeypatch.setattr(module, "version", lambda library: "0.0")
    seen.append(now())
    assert len(set(seen)) == len(seen) == 5
