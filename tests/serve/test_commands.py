"""The commands ``peftir serve`` and ``peftir search``, as a shell runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from served_study import HOSTILE

from peftir.serve.engine import Engine
from peftir.serve.judged_queries import OWN
from structure import SRC

PEFTIR = [sys.executable, "-m", "peftir.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SRC)}


def peftir(study: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PEFTIR, *arguments], cwd=study, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def fetched(url: str, query: str, chain: str) -> Any:
    asked = urllib.parse.urlencode({"q": query, "chain": chain})
    with urllib.request.urlopen(f"{url}/api/search?{asked}") as response:
        return json.load(response)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_when_the_running_requests_are_answered(served_study: Path, end: int) -> None:
    command = [*PEFTIR, "serve", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=served_study, env=ENVIRONMENT, **pipes) as server:
        assert server.stdout and server.stderr
        try:
            url = server.stdout.readline().split()[0]
            assert url.startswith("http://127.0.0.1:")
            fetched(url, "kib", "iaa_l/full")  # the models are loaded then
            chains = ["bm25", *["lora/full", "iaa_l/full", "full/iaa_l"] * 4]
            with ThreadPoolExecutor(len(chains)) as pool:
                asked = [pool.submit(fetched, url, "a secret kib", chain) for chain in chains]
                wait(asked, return_when=FIRST_COMPLETED)
                server.send_signal(end)
                assert all(future.result()["results"] for future in asked)
            server.wait(60)
        finally:
            server.kill()
        assert "secret" not in server.stdout.read() + server.stderr.read()
    with pytest.raises(OSError, match="refused"):
        fetched(url, "kib", "bm25")


def test_bm25_does_not_wait_for_the_libraries_of_the_models(served_study: Path) -> None:
    code = """
import sys
from pathlib import Path
from peftir.serve.engine import Engine
from peftir.serve.server import serve
from peftir.study.params import load_params
engine = Engine(Path(), load_params())
print(len(engine.rank(engine.chains.parse("bm25"), "bab")), {"torch", "transformers"} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=served_study,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    count, modules = done.stdout.split(maxsplit=1)
    assert int(count) > 0 and modules == "set()\n"


def test_an_address_that_is_taken_is_one_line(served_study: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = peftir(served_study, "serve", "--port", port)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: --host 127.0.0.1 --port {port}: cannot listen there (Address already"
    )
    assert done.stderr.count("\n") == 1


def test_the_terminal_shows_what_the_engine_finds(served_study: Path, engine: Engine) -> None:
    text = engine.judged.sets[OWN]["test5"]
    done = peftir(served_study, "search", text, "--variant", "iaa_l", "--rerank", "full", "--depth", "4")
    answer = engine.search(engine.chains.parse("iaa_l/full"), text, 4)
    *blocks, last = done.stdout.split("\n\n")
    assert (done.returncode, done.stderr, len(blocks)) == (0, "", 4)
    assert last.startswith("iaa_l-13 → full-13: 20 documents ranked in ")
    for block, result in zip(blocks, answer.results, strict=True):
        rank, score, id = block.split()[:3]
        assert (int(rank), id) == (result.rank, result.id)
        assert float(score) == pytest.approx(result.score, abs=1e-4)
        assert " ".join(result.snippet.text.split()) in " ".join(block.split())


def test_no_document_commands_the_terminal(served_study: Path) -> None:
    done = peftir(served_study, "search", HOSTILE.replace("\x1b", ""), "--depth", "1")
    assert "<script>alert" in done.stdout and "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([" "], "error: q: empty"),
        (["kib\x07"], "error: q: has the control character U+0007"),
        (["kib", "--variant", "nothing"], "error: chain: 'nothing': expected bm25, "),
        (["kib", "--rerank", "bitfit"], "error: chain: 'bm25/bitfit': expected bm25, "),
        (["kib", "--depth", "ten"], "error: depth: 'ten': expected a whole number from 1 to 1000"),
    ],
)
def test_a_mistake_ends_in_one_line(served_study: Path, arguments: list[str], said: str) -> None:
    done = peftir(served_study, "search", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
