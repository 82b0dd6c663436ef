"""The page that compares two variants query by query: the report's, over all queries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from served_study import QUERIES
from starlette.testclient import TestClient

from peftir.pipeline import explorer as of_report
from peftir.serve.app import create_app
from peftir.serve.engine import Engine
from peftir.study import layout

TOP = 50  # as deep as a run


@pytest.fixture(scope="module")
def page(engine: Engine) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_report, "MOST_QUERIES", 1)  # of the report alone
        patch.setattr(of_report, "TOP", TOP)
        response = TestClient(create_app(engine, ["*"])).get("/queries")
    assert response.status_code == 200
    return response.text


@pytest.fixture(scope="module")
def data(page: str) -> dict[str, Any]:
    block = re.search(r'<script type="application/json" id="explorer-data">(.*?)</script>', page, re.DOTALL)
    assert block
    return json.loads(block[1])


def test_it_has_all_queries_with_the_values_of_the_metrics(data: dict[str, Any], served_study: Path) -> None:
    assert len(data["queries"]) == QUERIES["test"] and data["left_out"] == 0
    table = pd.read_parquet(served_study / layout.PER_QUERY)
    means = table.groupby(["stage", "query", "row", "measure"])["value"].mean()
    for query in data["queries"]:
        for task, found in zip(data["tasks"], query["tasks"], strict=True):
            for row, value in zip(task["rows"], found["values"], strict=True):
                expected = means[task["name"], query["id"], row, task["measure"]]
                assert value == pytest.approx(expected, abs=5e-5)  # it has four decimals


def test_its_rankings_are_those_of_the_search(data: dict[str, Any], engine: Engine) -> None:
    ids = [id for id, _ in data["documents"]]
    rows = data["tasks"][0]["rows"]
    for query in data["queries"]:
        ranking = [id for id, _ in engine.rank(engine.chains.parse("bm25"), query["text"])]
        assert [ids[n] for n in query["tasks"][0]["top"][rows.index("bm25")]] == ranking[:TOP]


def test_the_script_is_the_report_s_and_the_only_one(page: str, engine: Engine) -> None:
    client = TestClient(create_app(engine, ["*"]))
    scripts = re.findall(r"<script([^>]*)>", page)
    assert scripts == [' type="application/json" id="explorer-data"', ' src="/explorer.js"']
    script = client.get("/explorer.js")
    templates = Path(of_report.__file__).parents[1] / "report/templates"
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.text == (templates / "explorer.js").read_text(encoding="utf-8")
    assert 'href="/queries"' in client.get("/").text


def test_without_measures_there_is_no_such_page(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "is_evaluated", False)
    client = TestClient(create_app(engine, ["*"]))
    assert client.get("/queries").status_code == 404
    assert "/queries" not in client.get("/").text
