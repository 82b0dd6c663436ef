"""The report's section on test sets: its numbers, its words, and when there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from peftir.pipeline.evaluate import write_statistics
from peftir.pipeline.evaluate_test import families
from peftir.report import write_report
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from synthetic_study import make_params, write_study

ROWS = {
    "retrieval": ["bm25", "zero_shot", "full", "lora"],
    "reranking": ["bm25", "full", "full+bm25", "lora", "lora+bm25"],
}
# What is added to each query's own value, by test set and row; of the rest nothing is.
SHIFTS = {
    "far": {"full": -0.3, "lora": 0.001, "full+bm25": 0.2},
    "near": {"full": 0.25, "lora": -0.15, "lora+bm25": -0.2},
    "here": {"bm25": -0.1},
}
TESTS = {
    "far": {"source": "beir:../far"},
    "here": {"source": "beir:../here", "corpus": "same"},
    "near": {"source": "beir:../near"},
}
QUERIES = 40


def value_of(test: str, row: str, query: int, seed: int) -> float:
    noise = 0.0 if row in ("bm25", "zero_shot") else 0.02 * ((query * 7 + seed) % 5 - 2)
    return round(0.35 + 0.005 * (query % 20) + SHIFTS[test].get(row, 0.0) + noise, 4)


def write_test_set(root: Path, params: Params, test: str) -> pd.DataFrame:
    """What ``evaluate_test`` would leave behind."""
    given = params.tests[test].measures or params.measures
    lines = [
        {"stage": task, "row": row, "seed": seed, "query": f"q{query}", "measure": measure}
        | {"value": value_of(test, row, query, seed)}
        for task, rows in ROWS.items()
        for row in rows
        for seed in ([-1] if row in ("bm25", "zero_shot") else params.seeds.at(stage_of(task)))
        for measure in given.at(task)  # type: ignore[arg-type]
        for query in range(QUERIES)
    ]
    table = pd.DataFrame(lines)
    list(write_statistics(root, params, table, families(params), test))
    return table


def stage_of(task: str) -> Any:
    return {"retrieval": "retriever", "reranking": "reranker"}[task]


def write(folder: Path, tests: dict[str, Any] = TESTS, **changed: Any) -> tuple[Params, dict[str, str]]:
    """A study with these test sets, and its report by the name of the file."""
    params = make_params(
        folder,
        **{
            "variants": {
                "untrained": ["zero_shot"],
                "retriever": ["full", "lora"],
                "reranker": ["full", "lora"],
            },
            "seeds": {"retriever": [13, 14], "reranker": [13]},
            "measures": {"retrieval": ["RR@10", "R@100"], "reranking": ["RR@10"]},
            "tests": tests,
            **changed,
        },
    )
    write_study(folder, params, made_up)
    for test in tests:
        write_test_set(folder, params, test)
    write_report(folder, params)
    return params, {path.name: path.read_text(encoding="utf-8") for path in (folder / "report").iterdir()}


def made_up(task: str, row: str, seed: int, measure: str) -> list[float]:
    random = np.random.default_rng([ord(letter) for letter in f"{task} {row} {seed} {measure}"])
    return list(random.random(8).round(4))


def tables_of(markdown: str) -> list[dict[str, list[str]]]:
    """The tables of the section on test sets, as cells by row; the columns' names are the row ''."""
    section = markdown.split("## Test sets\n")[1].split("## The paper’s claims")[0]
    tables: list[dict[str, list[str]]] = []
    before = ""
    for line in section.splitlines():
        if line.startswith("|"):
            name, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
            if not before.startswith("|"):
                tables.append({})
            if "---" not in name + "".join(cells):
                tables[-1][name.replace("\\", "")] = [cell.replace("\\", "") for cell in cells]
        before = line
    return tables


def mean_of(test: str, row: str, seeds: tuple[int, ...] = (13, 14)) -> float:
    return float(np.mean([value_of(test, row, query, seed) for query in range(QUERIES) for seed in seeds]))


def test_the_tables_have_the_means_the_differences_and_their_words(tmp_path: Path) -> None:
    _, report = write(tmp_path)
    _, far, here, near, *reranking = tables_of(report["results.md"])
    assert far[""] == ["RR@10", "vs zero_shot (95 % interval)", "p", "change", "R@100"]
    for test, table in (("far", far), ("near", near), ("here", here)):
        for row, name in (("bm25", "BM25"), ("zero_shot", "zero_shot"), ("full", "full"), ("lora", "lora")):
            shown = float(table[name][0].split()[0])
            assert shown == pytest.approx(mean_of(test, row), abs=6e-4)  # three decimals
    assert far["full"][1].startswith("−0.300 (−0.3")
    assert {name: cells[3] for name, cells in far.items() if name} == {
        "BM25": "–",
        "zero_shot": "–",
        "full": "forgotten",
        "lora": "kept",
    }
    assert near["full"][3] == "gained"
    assert near["lora"][3] == "forgotten"
    assert [here[name][3] for name in ("full", "lora")] == ["kept", "kept"]
    assert [table["zero_shot"][1:4] for table in (far, near, here)] == [["–", "–", "–"]] * 3
    words = {name: cells[3] for name, cells in reranking[1].items() if name}
    assert words == {
        "BM25": "–",
        "full": "below BM25",
        "lora": "as BM25",
        "full + BM25": "above BM25",
        "lora + BM25": "as BM25",
    }


def test_the_overview_marks_what_is_significant_and_has_the_mean_over_other_corpora(tmp_path: Path) -> None:
    _, report = write(tmp_path)
    overview = tables_of(report["results.md"])[0]
    assert overview[""] == ["far, RR@10", "here, RR@10", "near, RR@10", "mean of 2 transfer sets"]
    for row, name in (("bm25", "BM25"), ("full", "full"), ("lora", "lora")):
        assert float(overview[name][3]) == pytest.approx(
            (mean_of("far", row) + mean_of("near", row)) / 2, abs=6e-4
        )
    marked = {name: ["*" in cell for cell in cells] for name, cells in overview.items() if name}
    assert marked == {
        "BM25": [False] * 4,
        "zero_shot": [False] * 4,
        "full": [True, False, True, False],
        "lora": [False, False, True, False],
    }


@pytest.mark.parametrize(
    "tests",
    [
        {"far": TESTS["far"], "here": TESTS["here"]},
        {
            "far": {**TESTS["far"], "measures": {"retrieval": ["nDCG@10"], "reranking": ["AP"]}},
            "near": TESTS["near"],
        },
    ],
    ids=["one", "of different measures"],
)
def test_no_mean_is_taken_over_one_transfer_set_or_over_different_measures(
    tmp_path: Path, tests: dict[str, Any]
) -> None:
    _, report = write(tmp_path, tests)
    assert len(tables_of(report["results.md"])[0][""]) == 2
    assert all("Transfer sets are" not in text for text in report.values())


def test_all_three_forms_of_the_report_have_them(tmp_path: Path) -> None:
    _, report = write(tmp_path)
    for word, times in (("forgotten", 2), ("gained", 1), ("kept", 3)):
        assert report["index.html"].count(f">{word}<") == report["results.md"].count(f"| {word} ") == times
    assert '<section id="tests">' in report["index.html"]
    assert '<a href="#tests">' in report["index.html"]
    for task in ("retrieval", "reranking"):
        assert rf"\label{{tab:tests-{task}}}" in report["tables.tex"]
    full = tables_of(report["results.md"])[0]["full"][0].split("*")[0]
    assert f"full & {full}$^{{*}}$" in report["tables.tex"]
    assert "40 test queries of beir:far, on documents of its own" in report["results.md"]
    assert "40 test queries of beir:here, on documents of the collection" in report["results.md"]
    assert "../" not in report["results.md"]


def test_without_test_sets_nothing_is_said_of_them(tmp_path: Path) -> None:
    _, report = write(tmp_path, {})
    assert all("est sets" not in text and "#tests" not in text for text in report.values())


def test_without_an_untrained_variant_retrieval_has_means_alone(tmp_path: Path) -> None:
    rows = ROWS["retrieval"]
    rows.remove("zero_shot")
    try:
        variants = {"untrained": [], "retriever": ["full", "lora"], "reranker": ["full", "lora"]}
        _, report = write(tmp_path, variants=variants)
    finally:
        rows.insert(1, "zero_shot")
    assert tables_of(report["results.md"])[1][""] == ["RR@10", "R@100"]
    assert "forgotten" not in report["results.md"].lower()


@pytest.mark.parametrize(
    ("path", "damage", "told"),
    [
        (
            "spread.tsv",
            lambda text: None,
            "metrics/tests/far/spread.tsv: not found; run the stage 'evaluate_test'",
        ),
        (
            "comparisons.tsv",
            lambda text: None,
            "metrics/tests/far/comparisons.tsv: not found; run the stage 'evaluate_test'",
        ),
        (
            "spread.tsv",
            lambda text: text.replace("\tlora\tR@100", "\tlroa\tR@100"),
            "metrics/tests/far/spread.tsv: no R@100 at retrieval for 'lora'; run the stage 'evaluate_test'",
        ),
        (
            "comparisons.tsv",
            lambda text: text.replace("\tlora\t", "\tlroa\t"),
            "metrics/tests/far/comparisons.tsv: no RR@10 at retrieval for 'lora' against 'bm25'",
        ),
    ],
)
def test_a_missing_table_or_line_is_named_with_its_stage(
    tmp_path: Path, path: str, damage: Callable[[str], str | None], told: str
) -> None:
    params, _ = write(tmp_path)
    file = tmp_path / "metrics/tests/far" / path
    text = damage(file.read_text())
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(PeftirError) as error:
        write_report(tmp_path, params)
    assert str(error.value).startswith(told)
