"""``peftir serve`` over a study: its start, its latencies, its answers under load, and its end, in one run.

Start: seconds from the command to the first answer of each kind, which are all asked for from the beginning.
Latencies: one client, with the test queries, each kind's first answer left out. Load: clients without pauses,
with kinds and queries drawn at random. An answer is compared with the single client's: it is wrong if a score
differs by more than rounding, or if a document is at the place of another whose score is not nearly the same.
Clients and server share the machine. The study is only read.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil

from peftir.data.collection import Collection
from peftir.serve.chains import Chains
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly

DEPTH = 10
ROUNDING = 3e-4
"""Of scores. Ranks that change places by rounding change a fused score by 1 / 60 - 1 / 61 at most."""
IN_FLIGHT = 20  # requests when the server is told to end
WAIT = 120  # seconds for an answer
FAILURES = (OSError, RuntimeError, http.client.HTTPException)

Scores = list[tuple[str, float]]


@dataclass
class Answers:
    """What the clients got under load."""

    seconds: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    """``equal``, ``rounded``, ``wrong`` and ``error``."""


@exits_cleanly
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        epilog="example: python benchmarks/serving.py --study ../study",
    )
    parser.add_argument("--study", type=Path, default=Path(), help="folder of a study that has run")
    parser.add_argument("--queries", type=int, default=100, help="test queries (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60, help="of load (default: %(default)s)")
    given = parser.parse_args()
    chains = kinds_of(given.study)
    queries = list(Collection(given.study / layout.COLLECTION).queries("test").values())[: given.queries]
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}; {len(queries)} queries", flush=True)
    with server(given.study) as (process, address, started):
        print("| first answer of | seconds from the start |\n| --- | ---: |")
        for kind, seconds in first_answers(address, chains, queries[0], started).items():
            print(f"| {kind} | {seconds:.2f} |", flush=True)
        alone: dict[tuple[str, str], Scores] = {}
        print("\n| one client | p50, ms | p95, ms | processor, ms |\n| --- | ---: | ---: | ---: |")
        for kind, chain in chains.items():
            ask(address, queries[0], chain)
            before = processor_seconds(process)
            seconds = [timed(address, query, chain, alone) for query in queries]
            spent = 1e3 * (processor_seconds(process) - before) / len(queries)
            half, most = milliseconds(seconds, 50), milliseconds(seconds, 95)
            print(f"| {kind} (`{chain}`) | {half} | {most} | {spent:.0f} |", flush=True)
        load = under_load(address, alone, given.clients, given.seconds)
        counts, rate = load.kinds, len(load.seconds) / given.seconds
        print(
            f"\n{given.clients} clients for {given.seconds:g} s: {len(load.seconds):,} answers, {rate:.0f} a "
            f"second, p50 {milliseconds(load.seconds, 50)} ms, p95 {milliseconds(load.seconds, 95)} ms; "
            f"{counts['equal']:,} equal to the single client's, {counts['rounded']:,} but for rounding, "
            f"{counts['wrong']:,} wrong, {counts['error']:,} errors",
            flush=True,
        )
        answered, seconds_to_end = ended(process, address, list(alone))
        print(f"SIGTERM with {IN_FLIGHT} requests: {answered} answered, ended after {seconds_to_end:.1f} s")
        print(f"load after {os.getloadavg()[0]:.1f}")


def kinds_of(study: Path) -> dict[str, str]:
    """A chain of each kind that the study has models for."""
    params = load_params(study / "params.yaml")
    chains = Chains(study, params)
    adapter: dict[str, str] = {}
    full: dict[str, str] = {}
    for stage, models in (("retriever", chains.retrievers), ("reranker", chains.rerankers)):
        for key, name in models.items():
            type = params.methods[name.variant].type
            if type != "zero_shot":
                (full if type == "full" else adapter).setdefault(stage, key)
    first, second = adapter.get("retriever"), adapter.get("reranker")
    found = {"BM25": "bm25"}
    if first:
        found |= {"retriever": first, "fused": f"rrf:{first}"}
    if second:
        found["BM25, re-ranked"] = f"bm25/{second}"
    if first and second:
        found["retriever, re-ranked"] = f"{first}/{second}"
    if "retriever" in full:
        found["retriever, fully tuned"] = full["retriever"]
    return found


@contextmanager
def server(study: Path) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """The process of ``peftir serve``, its address, and when it was started."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "peftir.cli", "serve", str(study), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, urlsplit(process.stdout.readline().split()[0]).netloc, started
        finally:
            process.kill()


def first_answers(address: str, chains: dict[str, str], query: str, started: float) -> dict[str, float]:
    """Seconds until each kind is answered, all asked at once."""

    def answered(chain: str) -> float:
        while True:
            try:
                ask(address, query, chain)
                return time.perf_counter() - started
            except ConnectionError:
                time.sleep(0.01)

    with ThreadPoolExecutor(len(chains)) as pool:
        return dict(zip(chains, pool.map(answered, chains.values()), strict=True))


def ask(address: str, query: str, chain: str) -> Scores:
    """The ids and scores of an answer."""
    return fetch(http.client.HTTPConnection(address, timeout=WAIT), query, chain)


def fetch(connection: http.client.HTTPConnection, query: str, chain: str) -> Scores:
    """The ids and scores of an answer over a connection that is kept."""
    connection.request("GET", "/api/search?" + urlencode({"q": query, "chain": chain, "depth": DEPTH}))
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {content!r}")
    return [(result["id"], result["score"]) for result in json.loads(content)["results"]]


def processor_seconds(process: subprocess.Popen[str]) -> float:
    """What the process has computed, on all cores; other work on the machine changes it little."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def timed(address: str, query: str, chain: str, answers: dict[tuple[str, str], Scores]) -> float:
    """Seconds of an answer, which is kept in ``answers``."""
    started = time.perf_counter()
    answers[query, chain] = ask(address, query, chain)
    return time.perf_counter() - started


def under_load(address: str, alone: dict[tuple[str, str], Scores], clients: int, seconds: float) -> Answers:
    """What so many clients get who ask for what is in ``alone``, the single client's answers."""
    end, asked = time.perf_counter() + seconds, list(alone)

    def client(number: int) -> Answers:
        chance, found = random.Random(number), Answers()
        connection = http.client.HTTPConnection(address, timeout=WAIT)
        while (started := time.perf_counter()) < end:
            pair = chance.choice(asked)
            try:
                answer = fetch(connection, *pair)
            except FAILURES:
                found.kinds["error"] += 1
                connection.close()
                continue
            found.seconds.append(time.perf_counter() - started)
            found.kinds[agreement(answer, alone[pair])] += 1
        return found

    with ThreadPoolExecutor(clients) as pool:
        each = list(pool.map(client, range(clients)))
    return Answers(
        [seconds for found in each for seconds in found.seconds],
        sum((found.kinds for found in each), Counter()),
    )


def agreement(answer: Scores, expected: Scores) -> str:
    """How two rankings agree: ``equal``, ``rounded`` or ``wrong``."""
    if answer == expected:
        return "equal"
    if len(answer) != len(expected):
        return "wrong"
    known = dict(expected)
    for (id, score), (_, wanted) in zip(answer, expected, strict=True):
        # A document from below the last rank may have come in, with nearly the last one's score.
        if max(abs(score - wanted), abs(score - known.get(id, expected[-1][1]))) > ROUNDING * max(
            1, abs(wanted)
        ):
            return "wrong"
    return "rounded"


def ended(process: subprocess.Popen[str], address: str, asked: list[tuple[str, str]]) -> tuple[int, float]:
    """How many requests are answered that run when the server is told to end, and the seconds it takes."""
    chosen = list(itertools.islice(itertools.cycle(asked[:: max(1, len(asked) // IN_FLIGHT)]), IN_FLIGHT))

    def answered(pair: tuple[str, str]) -> bool:
        try:
            return bool(ask(address, *pair))
        except FAILURES:
            return False

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        running = [pool.submit(answered, pair) for pair in chosen]
        time.sleep(0.05)
        started = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)
        return sum(future.result() for future in running), time.perf_counter() - started


def milliseconds(seconds: list[float], percent: int) -> str:
    """A percentile, as milliseconds."""
    return f"{1e3 * statistics.quantiles(seconds, n=100, method='inclusive')[percent - 1]:.0f}"


if __name__ == "__main__":
    main()
