"""The report's tables from the run files and judgements up, by arithmetic of their own."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import pytest

from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.writing import write_collection
from peftir.pipeline.evaluate import write_metrics
from peftir.ranking.runs import Run, write_run
from peftir.report import write_report
from peftir.study import layout
from peftir.study.params import Params
from synthetic_study import make_params, write_study

SEEDS = [5, 6, 7]
DOCUMENTS = [f"d{number}" for number in range(40)]
QUERIES = [f"q{number}" for number in range(30)]


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Params]:
    """A collection and runs with ties, queries without a hit, and documents that nobody judged."""
    params = make_params(
        tmp_path,
        variants={"retriever": ["full", "lora"], "reranker": ["full", "lora"]},
        seeds={"retriever": SEEDS, "reranker": SEEDS},
        measures={"retrieval": ["RR@10", "nDCG@10", "R@20"], "reranking": ["RR@10"]},
    )
    write_study(tmp_path, params, lambda *_: [0.5] * 3)  # for what the report shows beside the results
    chance = random.Random(4)
    judged = [
        Judgement(query, document, chance.randrange(3))
        for query in QUERIES
        for document in chance.sample(DOCUMENTS, 3)
    ]
    content = Content(
        documents=[Document(name, "", f"text {name}") for name in DOCUMENTS],
        qrels={"test": judged},
        queries=[Query(name, f"query {name}") for name in QUERIES],
        origin={"source": "test"},
    )
    write_collection(tmp_path / layout.COLLECTION, content)
    for path in run_files():
        run: Run = {}
        for query in QUERIES[chance.randrange(4) :]:
            ranking = chance.sample(DOCUMENTS, 25)
            scores = sorted((chance.randrange(8) / 4 for _ in ranking), reverse=True)
            run[query] = list(zip(ranking, scores, strict=True))
        write_run(tmp_path / path, run, tag="test")
    return tmp_path, params


def run_files() -> Iterator[Path]:
    yield layout.BM25_RUNS / "test.trec"
    for task in ("retrieval", "reranking"):
        for variant in ("full", "lora"):
            for seed in SEEDS:
                folder = layout.runs(task, variant, seed)
                yield folder / "test.trec"
                if task == "reranking":
                    yield folder / "test.interpolated.trec"


def grades_by_query(root: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in (root / layout.COLLECTION / "qrels/test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        found.setdefault(query, {})[document] = int(grade)
    return found


def rankings(path: Path) -> dict[str, list[str]]:
    """Documents by the rank that is written beside them."""
    found: dict[str, dict[int, str]] = {}
    for line in path.read_text().splitlines():
        query, _, document, rank, _, _ = line.split(" ")
        found.setdefault(query, {})[int(rank)] = document
    return {query: [ranked[rank] for rank in sorted(ranked)] for query, ranked in found.items()}


def value(measure: str, ranking: list[str], grades: dict[str, int]) -> float:
    relevant = {document for document, grade in grades.items() if grade > 0}
    if not relevant:
        return 0.0
    name, cut = measure.split("@")
    top = ranking[: int(cut)]
    if name == "RR":
        return next((1 / rank for rank, document in enumerate(top, 1) if document in relevant), 0.0)
    if name == "R":
        return len(relevant & set(top)) / len(relevant)
    gains = [grades.get(document, 0) / math.log2(rank + 1) for rank, document in enumerate(top, 1)]
    best = sorted(grades.values(), reverse=True)[: int(cut)]
    return sum(gains) / sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, 1))


def by_hand(root: Path, measure: str, paths: list[Path]) -> str:
    """The mean over queries and seeds as the table shows it, with the standard deviation of several seeds."""
    judged = grades_by_query(root)
    seeds = []
    for path in paths:
        found = rankings(root / path)
        seeds.append(mean(value(measure, found.get(query, []), judged[query]) for query in judged))
    spread = f" ± {stdev(seeds):.3f}" if len(seeds) > 1 else ""
    return f"{mean(seeds):.3f}{spread}"


def test_every_measure_in_the_tables_is_that_of_the_run_files(study: tuple[Path, Params]) -> None:
    root, params = study
    list(write_metrics(root, params))
    write_report(root, params)
    shown = []
    results, claims, _ = (root / "report/results.md").read_text(encoding="utf-8").partition("## The paper’s")
    assert claims
    for line in results.splitlines():
        if re.match(r"\| (BM25|full|lora)", line):
            cells = [re.sub(r"\*\*|\\\*|†", "", cell).strip() for cell in line.split("|")[1:-1]]
            shown.append([cells[0], *(cell for cell in cells[3:] if re.match(r"\d", cell))])
    expected = []
    for task, measures in (
        ("retrieval", params.measures.retrieval),
        ("reranking", params.measures.reranking),
    ):
        rows = {"BM25": [layout.BM25_RUNS / "test.trec"]}
        for name, file in (("", "test.trec"), (" + BM25", "test.interpolated.trec"))[
            : 1 + (task == "reranking")
        ]:
            for variant in ("full", "lora"):
                rows[variant + name] = [layout.runs(task, variant, seed) / file for seed in SEEDS]
        for name, paths in rows.items():
            expected.append([name, *(by_hand(root, measure, paths) for measure in measures)])
    assert shown == expected
