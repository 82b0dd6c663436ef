"""The pages and the API, over the real application and a tiny study."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from served_study import HOSTILE
from starlette.testclient import TestClient

from peftir.serve.app import create_app
from peftir.serve.engine import Engine
from peftir.serve.judged_queries import OWN
from peftir.serve.server import LOOPBACK

CHAINS = ("bm25", "zero_shot", "full-13", "lora-13", "iaa_l-14", "rrf:lora-13", "bm25/full", "lora/iaa_l")


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    app = create_app(engine, LOOPBACK)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def found(client: TestClient, **asked: Any) -> dict[str, Any]:
    response = client.get("/api/search", params=asked)
    assert response.status_code == 200, response.text
    return response.json()


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two answers have the same documents; of equal ones with scores that differ by rounding."""
    pairs = [*zip(one["results"], other["results"], strict=True)]
    return all(
        a["score"] == pytest.approx(b["score"], abs=1e-5)
        and (a["id"] == b["id"] or {a["id"], b["id"]} == {"d0", "d1"})  # these two have the same text
        for a, b in pairs
    )


def test_an_answer_has_what_the_ranking_has(client: TestClient, engine: Engine) -> None:
    query, text = next((id, text) for id, text in engine.judged.sets[OWN].items() if not id.startswith("d"))
    answer = found(client, q=text, chain="iaa_l", depth=1000)
    ranking = engine.rank(engine.chains.parse("iaa_l-13"), text)
    assert [(one["id"], one["rank"]) for one in answer["results"]] == [
        (id, rank) for rank, (id, _) in enumerate(ranking, start=1)
    ]
    assert (answer["query"], answer["chain"], answer["ranked"]) == (text, "iaa_l-13", 50)
    grades = {one["id"]: one["grade"] for one in answer["results"] if one["grade"] is not None}
    assert grades.items() <= engine.collection.qrels("test")[query].items()
    assert len(found(client, q=text)["results"]) == 10


def test_snippets_mark_the_terms_of_the_query(client: TestClient) -> None:
    for result in found(client, q="kib lut", depth=20)["results"]:
        marked = {result["snippet"][start:end] for start, end in result["matches"]}
        assert marked and marked <= {"kib", "lut"}


def test_fifty_clients_at_once_get_what_each_gets_alone(client: TestClient, engine: Engine) -> None:
    queries = [*engine.judged.sets[OWN].values()]
    asked = [(queries[n % len(queries)], CHAINS[n % len(CHAINS)]) for n in range(150)]
    alone = {(q, chain): found(client, q=q, chain=chain, depth=1000) for q, chain in asked}
    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(lambda pair: found(client, q=pair[0], chain=pair[1], depth=1000), asked)
        for pair, answer in zip(asked, answers, strict=True):
            assert same(answer, alone[pair]), pair


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"chain": "bm25"}, 400, "q: empty"),
        ({"q": " \n"}, 400, "q: empty"),
        ({"q": "x" * 2001}, 413, "q: 2,001 characters; expected 2,000 at most"),
        ({"q": "a\0b"}, 400, r"q: has the control character U\+0000"),
        ({"q": "a\x1b[31m"}, 400, r"q: has the control character U\+001B"),
        ({"q": "a", "depth": "0"}, 400, "depth: '0': expected a whole number from 1 to 1000"),
        ({"q": "a", "depth": "1e3"}, 400, "depth: "),
        ({"q": "a", "depth": "9" * 5000}, 400, "depth: "),
        (
            {"q": "a", "chain": "nothing"},
            404,
            "chain: 'nothing': expected bm25, .*lora-13.*re-rankers full-13",
        ),
        ({"q": "a", "chain": "lora-99"}, 404, "chain: "),
        ({"q": "a", "chain": "bm25/"}, 404, "chain: "),
        ({"q": "a", "chain": "bm25/bitfit"}, 404, "chain: "),
        ({"q": "a", "chain": "rrf:bm25"}, 404, "chain: "),
        ({"q": "a", "chain": "../../etc/passwd\n"}, 404, "chain: "),
        ({"q": "a", "chain": ""}, 404, "chain: "),
    ],
)
def test_a_mistake_is_one_line(client: TestClient, asked: dict[str, str], status: int, said: str) -> None:
    response = client.get("/api/search", params=asked)
    message = response.json()["error"]
    assert response.status_code == status
    assert re.match(said, message) and "\n" not in message
    selection = {"q": asked.get("q", "a"), "first": asked.get("chain", "bm25")}
    if "depth" not in asked and selection["first"]:
        page = client.get("/", params=selection)
        assert page.status_code in (status, 200 if "q" not in asked else status)


def test_the_longest_query_is_answered(client: TestClient) -> None:
    for chain in CHAINS:
        found(client, q=("kib " * 500)[:2000], chain=chain)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kib AND (luk", "kib luk"),
        ("-kib +luk~2^8", "kib luk 2 8"),
        ("[kib TO luk}", "kib luk"),
        ('"luk kib"', "kib luk"),
        ("kib/luk\\", "kib luk"),
        ("*:*", ""),
        ("+-&&||!(){}^~*?:/", ""),
    ],
)
def test_query_syntax_is_words(client: TestClient, text: str, words: str) -> None:
    ids = [one["id"] for one in found(client, q=text, depth=100)["results"]]
    assert ids == ([one["id"] for one in found(client, q=words, depth=100)["results"]] if words else [])
    for chain in ("rrf:lora", "bm25/full"):
        found(client, q=text, chain=chain)


def test_nothing_of_a_query_or_a_document_becomes_html(client: TestClient) -> None:
    page = client.get("/", params={"q": HOSTILE.replace("\x1b", ""), "first": ["bm25", "full-13"]}).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert re.search(r"<mark>alert</mark>\(&#39;<mark>kib</mark>&#39;\)", page)
    assert "\x1b" not in page


def test_the_page_shows_columns_judgements_and_movements(client: TestClient, engine: Engine) -> None:
    text = engine.judged.sets[OWN]["test5"]
    selection = [("q", text)]
    for first, reranker in (("bm25", ""), ("lora-13", ""), ("bm25", "full-13")):
        selection += [("first", first), ("rerank", reranker)]
    page = client.get("/", params=selection).text
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == ["BM25", "lora-13", "BM25 → full-13"]
    columns = re.findall(r"<ol>(.*?)</ol>", page, flags=re.DOTALL)
    before = [id for id, _ in engine.rank(engine.chains.parse("bm25"), text)]
    assert "moved" not in columns[0]
    for column, chain in zip(columns[1:], ("lora-13", "bm25/full-13"), strict=True):
        for rank, (id, _) in enumerate(engine.rank(engine.chains.parse(chain), text)[:10]):
            row = column.split("<li>")[rank + 1]
            moved = before.index(id) - rank if id in before else None
            shown = (
                "new" if moved is None else "=" if not moved else f"{'▲' if moved > 0 else '▼'} {abs(moved)}"
            )
            assert f">{shown}</span>" in row
    assert re.findall(r"(\d+) ms · ", page)
    assert "relevant at" in page


def test_a_test_query_is_there_to_click(client: TestClient, engine: Engine) -> None:
    page = client.get("/").text
    for text in engine.judged.sets[OWN].values():
        assert f">{text}</a>" in page
    link = re.search(r'<ul class="queries">\s*<li><a href="(.*?)"', page)
    assert link
    clicked = client.get(link[1].replace("&amp;", "&")).text
    assert next(iter(engine.judged.sets[OWN].values())) in clicked and "<ol>" in clicked


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/search?q=kib", "/metrics", "/healthz", "/style.css", "/x"]
)
def test_browsers_are_told_what_pages_may_do(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self';")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_pages_load_nothing_but_the_server_s_style_sheet(client: TestClient) -> None:
    for path in ("/", "/?q=kib", "/api"):
        page = client.get(path).text
        assert "<script" not in page and "style=" not in page and "<style" not in page
        assert set(re.findall(r'(?:src|href)="([^"/][^"]*|//[^"]*)"', page)) <= {"data:,"}
    assert "url(" not in client.get("/style.css").text


@pytest.mark.parametrize(
    "path",
    ["/params.yaml", "/../params.yaml", "/%2e%2e/params.yaml", "/style.css/../../etc/passwd", "/templates"],
)
def test_no_file_is_served(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (404, {"error": "Not Found"})


def test_other_methods_and_other_hosts_are_refused(client: TestClient) -> None:
    assert client.post("/api/search", data={"q": "kib"}).status_code == 405
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400
    assert client.get("/healthz", headers={"host": "localhost:8000"}).json() == {"status": "ok"}


def test_metrics_count_answers_errors_and_latencies(engine: Engine) -> None:
    client = TestClient(create_app(engine, ["*"]))
    for chain in ("bm25", "bm25", "lora-13", "nothing"):
        client.get("/api/search", params={"q": "a secret kib", "chain": chain})
    text = client.get("/metrics").text
    assert 'peftir_requests_total{chain="bm25"} 2\n' in text
    assert 'peftir_requests_total{chain="lora-13"} 1\n' in text
    assert 'peftir_errors_total{status="404"} 1\n' in text
    buckets = [int(count) for count in re.findall(r'bucket\{chain="bm25",le="[^"]*"\} (\d+)', text)]
    assert buckets == sorted(buckets) and buckets[-1] == 2
    assert 'peftir_request_seconds_count{chain="bm25"} 2\n' in text
    assert "secret" not in text


def test_the_description_fits_the_answers(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    answer = found(client, q="kib")
    assert set(schemas["Answer"]["required"]) == set(answer)
    assert set(schemas["Result"]["required"]) == set(answer["results"][0])
    assert json.dumps(described).count("#/components/schemas/") == 6
    for path in described["paths"]:
        assert client.get(path, params={"q": "kib"}).status_code == 200
        assert path in client.get("/api").text
