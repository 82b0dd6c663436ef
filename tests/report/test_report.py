"""The report: its numbers against hand-worked ones, and what it does with what is missing or odd."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from peftir.pipeline.evaluate import families, variants, write_statistics
from peftir.report import sentences, write_report
from peftir.report.figures import loss_curves
from peftir.report.learning import explanation
from peftir.report.reading import read_study
from peftir.report.style import BY_DAY, BY_NIGHT, looks_of
from peftir.statistics.significance import two_level_test
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from synthetic_study import make_params, write_model, write_study

SMALL = {
    "variants": {
        "untrained": ["zero_shot"],
        "retriever": ["full", "lora"],
        "reranker": ["full", "lora"],
    },
    "seeds": {"retriever": [13, 14], "reranker": [13]},
    "measures": {"retrieval": ["RR@10", "R@100"], "reranking": ["RR@10"]},
}
# Four test queries; by task, row and seed.
RR = {
    ("retrieval", "bm25", -1): [1, 0.5, 0, 0],
    ("retrieval", "zero_shot", -1): [1, 0.5, 0.5, 0],
    ("retrieval", "full", 13): [1, 1, 0.5, 0.5],
    ("retrieval", "full", 14): [1, 1, 0.5, 0],
    ("retrieval", "lora", 13): [1, 1, 1, 0.5],
    ("retrieval", "lora", 14): [1, 1, 1, 0.5],
    ("reranking", "bm25", -1): [1, 0.5, 0, 0],
    ("reranking", "full", 13): [0.5, 0.5, 0, 0],
    ("reranking", "lora", 13): [0.25, 0.25, 0, 0],
    ("reranking", "full+bm25", 13): [1, 1, 0.5, 0],
    ("reranking", "lora+bm25", 13): [1, 1, 0.5, 0],
}
# The intervals at re-ranking are those of the t-test over four queries: with 3 degrees of freedom the mean
# ± 3.182 · sd / 2. BM25 against full, say, has the differences 1/2, 0, 0 and 0, whose mean is 1/8 and sd 1/4.
RETRIEVAL = [
    # weights, share, RR@10, difference to full with its interval, R@100 (the same for all)
    ["BM25", "–", "–", "0.375", "−0.312 ({})", "0.750"],
    ["zero_shot", "0", "0.00 %", "0.500", "−0.188 ({})", "0.750"],
    ["full", "20,000,000", "100 %", "0.688 ± 0.088", "–", "*0.750 ± 0.000"],
    ["lora", "100,000", "0.50 %", "*0.875 ± 0.000", "+0.188 ({})", "*0.750 ± 0.000"],
]
# What each has more than full, a line a seed.
MORE_THAN_FULL = {
    "BM25": [[0, -0.5, -0.5, -0.5], [0, -0.5, -0.5, 0]],
    "zero_shot": [[0, -0.5, 0, -0.5], [0, -0.5, 0, 0]],
    "lora": [[0, 0, 0.5, 0], [0, 0, 0.5, 0.5]],
}
RERANKING = [
    ["BM25", "–", "–", "0.375", "+0.125 (−0.273 to +0.523)"],
    ["full", "20,000,000", "100 %", "*0.250", "–"],
    ["lora", "100,000", "0.50 %", "0.125", "−0.125 (−0.355 to +0.105)"],
    ["full + BM25", "20,000,000", "100 %", "*0.625", "–"],
    ["lora + BM25", "100,000", "0.50 %", "*0.625", "0.000 (every query alike)"],
]


def with_intervals(table: list[list[str]]) -> list[list[str]]:
    """``RETRIEVAL`` with the intervals of the two-level test filled in."""

    def interval(name: str) -> str:
        found = two_level_test(np.array(MORE_THAN_FULL.get(name, [[0.0, 0.0]])))
        return f"{found.low:+.3f} to {found.high:+.3f}".replace("-", "−")

    return [[cell.format(interval(row[0])) for cell in row] for row in table]


def by_hand(task: str, row: str, seed: int, measure: str) -> list[float]:
    return [float(value) for value in RR[task, row, seed]] if measure == "RR@10" else [1.0, 1.0, 1.0, 0.0]


def anything(task: str, row: str, seed: int, measure: str) -> list[float]:
    """Different values for every run, of eight queries."""
    random = np.random.default_rng([ord(letter) for letter in f"{task} {row} {seed} {measure}"])
    return list(random.random(8).round(4))


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Params]:
    params = make_params(tmp_path, **SMALL)
    write_study(tmp_path, params, by_hand)
    return tmp_path, params


class Page(HTMLParser):
    """Tables (rows of cells, a strong one with a ``*``), elements with their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self.tables[-1][-1].append("*" if dict(attrs).get("class") == "strong" else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.tables[-1][-1][-1] += data.strip("\n")


def read_page(root: Path) -> Page:
    return Page((root / "report/index.html").read_text(encoding="utf-8"))


def read_markdown_tables(root: Path) -> list[list[list[str]]]:
    lines = (root / "report/results.md").read_text(encoding="utf-8").splitlines()
    groups = itertools.groupby(lines, key=lambda line: line.startswith("|"))
    tables = [
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in group] for row, group in groups if row
    ]
    return [
        [[f"*{cell.replace('**', '')}" if "**" in cell else cell for cell in row] for row in table]
        for table in tables
    ]


def test_tables_hold_the_hand_worked_numbers(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)

    retrieval, reranking = read_markdown_tables(root)[:2]
    columns = ["", "weights trained", "share", "RR@10", "vs full (95 % interval)"]
    assert retrieval == [[*columns, "R@100"], ["---"] + ["---:"] * 5, *with_intervals(RETRIEVAL)]
    assert reranking == [columns, ["---"] + ["---:"] * 4, *RERANKING]

    retrieval, _, reranking, _ = (table[1:] for table in read_page(root).tables[:4])
    assert retrieval == with_intervals(RETRIEVAL)
    assert [row for row in reranking if len(row) > 1] == RERANKING
    assert [row for row in reranking if len(row) == 1] == [
        ["Re-ranker alone"],
        ["Interpolated with the first stage"],
    ]


def test_notes_say_what_the_numbers_rest_on(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    text = (root / "report/results.md").read_text(encoding="utf-8")
    retrieval, reranking = text.split("## Re-ranking")

    assert "3,500 documents, 2,275 train queries, 350 dev queries, 4 test queries" in retrieval
    settings = params.retriever
    assert f"{settings.steps:,} steps of {settings.batch_size} queries with seeds 13, 14" in retrieval
    assert "Means over 4 test queries and over seeds" in retrieval
    assert "RR@10 is ir-measures’ name for MRR@10." in retrieval
    assert "The test takes both queries and seeds as random" in retrieval
    # The widest of a trained variant is that of lora alone; BM25 does not count.
    assert "The 95 % intervals of differences in RR@10 to full extend up to 0.230 to either side" in reranking
    assert "± is the standard deviation over seeds." in retrieval and "± is" not in reranking
    assert "The head (385 weights) is trained too and counted separately" in reranking
    assert "with one seed says nothing about other seeds" in reranking


def test_cost_table_takes_means_of_seconds_and_the_most_of_memory(study: tuple[Path, Params]) -> None:
    root, params = study
    for seed, seconds, memory, step in ((13, 10.0, 1000, 0.5), (14, 20.0, 3000, 1.0)):
        spent = {"seconds": seconds, "peak_memory_mb": memory, "seconds_per_step": step}
        (root / layout.resources("train_retriever", "lora", seed)).write_text(json.dumps(spent))
    write_report(root, params)
    table = next(table for table in read_page(root).tables if "stored,\u00a0MB" in table[0])
    head, rows = (
        [column.replace("\u00a0", " ") for column in table[0]],
        {row[0]: row[1:] for row in table[1:]},
    )
    assert head[1:8] == [
        "weights trained",
        "share",
        "stored, MB",
        "MB per task of 100",
        "training, s",
        "s per step",
        "training, peak MiB",
    ]
    # A hundredth of 20 million weights of four bytes, and a model of one's own.
    assert rows["lora"][:7] == ["100,000", "0.50 %", "0.40", "1.20", "15.0", "0.75", "3,000"]
    assert rows["zero_shot"][:7] == ["0", "0.00 %", "0.00", "0.80", "–", "–", "–"]
    assert head[8:] == ["indexing, s", "indexing, peak MiB", "retrieval, s", "retrieval, peak MiB"]
    assert rows["full"][3:] == ["80.00", "100.0", "0.75", "1,500", "100.0", "1,500", "100.0", "1,500"]


PARTS = {"weights": 76.0, "gradients": 0.4, "optimizer": 0.8, "best_step": 0.4}


@pytest.mark.parametrize("activations", [None, 22.4])
def test_the_memory_of_a_step_is_shown_by_what_it_holds(
    study: tuple[Path, Params], activations: float | None
) -> None:
    """On a GPU the parts add up to its peak; on a processor the peak is the process's."""
    root, params = study
    for stage in ("retriever", "reranker"):
        for path in root.glob(f"metrics/resources/train_{stage}/*.json"):
            lora = path.name.startswith("lora-13")
            spent = {
                "memory_mb": PARTS | {"activations": activations},
                "tokens_per_second": 2000.0 if lora else 1000.0,
                "mfu": None if activations is None else 0.5 if lora else 0.25,
            }
            path.write_text(json.dumps(json.loads(path.read_text()) | spent))
    write_report(root, params)
    page = read_page(root)
    table = next(table for table in page.tables if "activations,\u00a0MiB" in table[0])
    rows = {row[0]: row[1:] for row in table[1:]}
    known = ["76.0", "0.4", "0.8", "0.4"]
    assert rows["full"] == [
        *known,
        *(["–", "1,000", "–"] if activations is None else ["22.4", "1,000", "25.0 %"]),
    ]
    assert rows["lora"][5:] == ["1,500", "–" if activations is None else "37.5 %"]  # two seeds
    html = (root / "report/index.html").read_text(encoding="utf-8")
    assert ("GPU’s peak memory in training (MiB)" in html) == (activations is not None)
    record = read_study(root, params).retrieval.training("full")[0]
    assert record.training_memory_mb == pytest.approx(1500 if activations is None else 100.0)


def test_trainings_without_a_record_of_their_steps_have_no_table_of_them(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    assert not any("activations,\u00a0MiB" in table[0] for table in read_page(root).tables)


def test_same_bytes_in_another_process_without_torch(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    first = {path.name: path.read_bytes() for path in (root / "report").iterdir()}
    assert set(first) == {"results.md", "tables.tex", "index.html"}
    code = (
        "import sys; from pathlib import Path; from peftir.report import write_report\n"
        "assert 'torch' not in sys.modules\n"
        "from peftir.study.params import load_params\n"
        "write_report(Path(), load_params())"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=root, check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert {path.name: path.read_bytes() for path in (root / "report").iterdir()} == first


def test_results_do_not_depend_on_what_it_took(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    before = (root / "report/results.md").read_bytes(), (root / "report/index.html").read_bytes()
    spent = {"seconds": 9999.5, "peak_memory_mb": 4321}
    for path in root.glob("metrics/resources/**/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | spent))
    write_report(root, params)
    assert (root / "report/results.md").read_bytes() == before[0]
    assert (root / "report/index.html").read_bytes() != before[1]


def test_leftovers_of_other_variants_and_seeds_change_nothing(tmp_path: Path) -> None:
    clean, littered = tmp_path / "clean", tmp_path / "littered"
    for folder in (clean, littered):
        folder.mkdir()
    params = make_params(clean, **SMALL)
    more = make_params(
        littered,
        measures={"retrieval": ["RR@10", "R@100", "nDCG@10"], "reranking": ["RR@10"]},
        variants={
            "untrained": ["zero_shot"],
            "retriever": ["adapter", "full", "lora"],
            "reranker": ["full", "lora", "adapter"],
        },
        seeds={"retriever": [13, 14, 15], "reranker": [13, 14]},
    )
    write_study(clean, params, anything)
    write_study(littered, more, anything)
    for path in (layout.SPREAD, layout.COMPARISONS):  # over the listed seeds and rows, and lines of others
        head, *lines = (littered / path).read_text().splitlines(keepends=True)
        left = [line for line in lines if "adapter" in line or "nDCG" in line]
        assert left
        (littered / path).write_text("".join([head, *left, *(clean / path).open().readlines()[1:]]))
    shutil.copy(clean / layout.EXPLORER, littered / layout.EXPLORER)  # written whole by evaluate
    for folder in (clean, littered):
        write_report(folder, params)
    for name in ("results.md", "index.html"):
        assert (littered / "report" / name).read_bytes() == (clean / "report" / name).read_bytes()
    assert "adapter" not in read_page(littered).text


def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    odd = """<script>alert("x")</script>&|*b*"""
    params = make_params(tmp_path, **SMALL, collection={"source": odd}, backbone={"name": odd})
    write_study(tmp_path, params, by_hand)
    name = "<b>|&\"'"
    for seed in params.seeds.retriever:  # more than params.yaml would let through
        write_model(tmp_path, params, "retriever", "lora", seed, name=name)
    renamed = params.model_copy(
        update={
            "methods": params.methods | {name: params.methods["lora"]},
            "variants": params.variants.model_copy(update={"untrained": [], "retriever": ["full", name]}),
        }
    )
    table = pd.read_parquet(tmp_path / layout.PER_QUERY)
    table.loc[(table.stage == "retrieval") & (table.row == "lora"), "row"] = name
    list(write_statistics(tmp_path, renamed, table, families(variants(tmp_path, renamed), renamed)))

    write_report(tmp_path, renamed)
    page = read_page(tmp_path)
    assert page.text.count(odd) >= 2
    assert [row[0] for row in page.tables[0][1:]] == ["BM25", "full", name]
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert "b" not in {tag for tag, _ in page.elements}
    markdown = (tmp_path / "report/results.md").read_text(encoding="utf-8")
    assert r"\<b\>\|\&\"'".replace('\\"', '"') in markdown
    assert r"\<script\>alert(\"x\")".replace('\\"', '"') in markdown


def test_three_sentences_sum_up_the_results(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    interval = with_intervals([["lora", "{}"]])[0][1]
    expected = [
        f"Retrieval: lora has the best RR@10, 0.875; the difference to full is +0.188 ({interval}), not "
        "significant with 2 seeds and 4 queries.",
        "Re-ranking: full + BM25 has the best RR@10, 0.625; the difference to lora + BM25 is 0.000 (every "
        "query alike), not significant with 1 seed and 4 queries.",
        "Of the paper’s 4 claims, 4 are not decided.",
    ]
    markdown = (root / "report/results.md").read_text(encoding="utf-8").splitlines()
    assert markdown[2:5] == [f"- {sentence}" for sentence in expected]
    assert all(sentence in read_page(root).text for sentence in expected)


def test_page_needs_nothing_but_itself(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    page = read_page(root)
    text = (root / "report/index.html").read_text(encoding="utf-8")
    assert "http" not in text and "@import" not in text and "url(" not in text.replace("url(#", "")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object") and "src" not in attributes
        for name in ("href", "xlink:href"):
            link = attributes.get(name)
            assert link is None or (link.startswith("#") and link[1:] in ids)


@pytest.mark.parametrize(("loss", "unit"), [("kl", " (nats)"), ("margin_mse", "")])
def test_a_loss_has_the_unit_of_its_values(study: tuple[Path, Params], loss: str, unit: str) -> None:
    root, params = study
    retriever = params.retriever.model_copy(update={"loss": loss})
    stage = read_study(root, params.model_copy(update={"retriever": retriever})).retrieval
    label = f"training loss{unit} against optimizer steps"
    assert f'aria-label="{label}"' in loss_curves(stage, looks_of(stage.variants))
    assert ("nats" in explanation(stage)) == bool(unit)


def test_every_figure_has_a_caption_and_named_axes(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    page = read_page(root)
    labels = [a["aria-label"] for tag, a in page.elements if tag == "svg" and "aria-label" in a]
    assert labels == [
        "RR@10 on test (0 to 1) against weights trained (number, log scale)",
        "RR@10 on test (0 to 1) against weights trained (number, log scale)",
        "RR@10 on dev (0 to 1) against weight of the re-ranker (0: BM25 alone, 1: re-ranker alone)",
        *["RR@10 on dev (0 to 1) against optimizer steps", "training loss (nats) against optimizer steps"]
        * 2,
        "measure of the second ranking against measure of the first ranking",
        *[
            "RR@10 on test (0 to 1) against process’s peak memory in training (MiB)",
            "RR@10 on test (0 to 1) against seconds of training, without evaluation",
        ]
        * 2,
    ]
    assert [tag for tag, _ in page.elements].count("figcaption") == len(labels)
    for label in labels:
        y, _, x = label.partition(" against ")
        assert page.text.count(x) >= 1 and page.text.count(y) >= 1


def test_a_variant_has_one_colour_throughout(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    page = (root / "report/index.html").read_text(encoding="utf-8")
    # zero_shot, full, lora in this order; the untrained has no learning curve.
    curves = page[page.index('id="learning"') : page.index('id="cost"')]
    lines = [part for part in curves.split("<svg viewBox") if "optimizer steps" in part]
    assert len(lines) == 4
    for svg in lines:
        assert (
            "stroke: var(--hue-1)" in svg
            and "stroke: var(--hue-2)" in svg
            and "--hue-0" not in svg.split("</svg>")[0]
        )
    marks = {
        attributes["fill"]
        for tag, attributes in Page(page[page.index("<h3>Variants") :]).elements
        if tag == "path" and "fill" in attributes
    }
    assert marks == {"var(--hue-0)", "var(--hue-1)", "var(--hue-2)"}


def test_interpolation_is_a_line_a_variant_with_the_weights_of_all_seeds_on_it(tmp_path: Path) -> None:
    names = ["full", "lora"]
    params = make_params(
        tmp_path,
        variants={"retriever": names, "reranker": names},
        seeds={"retriever": [1], "reranker": [1, 2]},
    )
    write_study(tmp_path, params, anything)
    file = tmp_path / layout.interpolation("lora", 2)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"weight": 0.4}))
    write_report(tmp_path, params)
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    [svg] = [part.split("</svg>")[0] for part in page.split("<svg viewBox") if "BM25 alone, 1:" in part]
    assert sorted(re.findall(r"fill: none; stroke: var\(--hue-(\d)\)", svg)) == ["0", "1"]
    marks = re.findall(r'<use [^>]*x="([\d.]+)"[^>]*fill: var\(--hue-(\d)\)', svg)
    assert [hue for _, hue in marks] == ["0", "0", "1", "1"]
    assert len(set(marks[:2])) == 1 and len(set(marks[2:])) == 2
    assert "The filled marks are the selected weights, one per seed," in Page(page).text


def test_without_full_fine_tuning_nothing_is_compared_with_it(tmp_path: Path) -> None:
    small = SMALL | {"variants": {"retriever": ["lora"], "reranker": ["lora"]}}
    params = make_params(tmp_path, **small)
    write_study(tmp_path, params, by_hand)
    write_report(tmp_path, params)
    for table in read_markdown_tables(tmp_path):
        assert not [column for column in table[0] if column.startswith("vs")]
    assert "may well be chance" not in (tmp_path / "report/results.md").read_text(encoding="utf-8")
    assert "may well be chance" not in read_page(tmp_path).text


def test_a_model_that_never_left_step_0_is_marked_and_never_the_best_by_training(tmp_path: Path) -> None:
    """Only lora learns; adapter keeps the backbone with both seeds, full with one of them."""
    names = ["full", "adapter", "lora"]
    params = make_params(
        tmp_path,
        variants={"untrained": ["zero_shot"], "retriever": names, "reranker": names},
        seeds={"retriever": [1, 2], "reranker": [1]},
        measures={"retrieval": ["RR@10"], "reranking": ["RR@10"]},
    )

    def values(task: str, row: str, seed: int, measure: str) -> list[float]:
        if task == "retrieval" and row == "adapter":
            row, seed = "zero_shot", -1
        if row == "adapter+bm25":
            row, seed = "bm25", -1
        better = {"zero_shot": 0.2, "lora": 0.1}.get(row, 0)
        return [value / 2 + better for value in anything(task, row, seed, measure)]

    write_study(tmp_path, params, values)
    for stage, variant, seed in (
        ("retriever", "adapter", 1),
        ("retriever", "adapter", 2),
        ("retriever", "full", 2),
        ("reranker", "adapter", 1),
    ):
        path = tmp_path / layout.training(stage, variant, seed)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"best_step": 0}))
    path = tmp_path / layout.interpolation("adapter", 1)
    path.write_text(json.dumps({"weight": 0.0, "dev": {"0.0": 0.5, "0.5": 0.5, "1.0": 0.4}}))
    write_report(tmp_path, params)

    retrieval, reranking = read_markdown_tables(tmp_path)[:2]
    rows = {row[0]: row[3] for row in retrieval[2:]}
    assert list(rows) == [
        "BM25",
        "zero_shot",
        "full (kept untrained, 1 of 2 seeds)",
        "adapter (kept untrained, 2 of 2 seeds)",
        "lora",
    ]
    # The untrained model is better here, and no ± stands where a spread is 0 by construction.
    assert (
        rows["adapter (kept untrained, 2 of 2 seeds)"] == rows["zero_shot"] and "±" not in rows["zero_shot"]
    )
    assert [name for name, cell in rows.items() if cell.startswith("*")] == ["lora"]
    assert [row[0] for row in reranking[2:] if "adapter" in row[0]] == [
        "adapter (kept untrained)",
        "adapter + BM25 (kept untrained; weight 0: BM25 alone)",
    ]
    text = (tmp_path / "report/results.md").read_text(encoding="utf-8")
    assert text.count("no training step was better on dev than step 0 (the untrained backbone)") == 1
    assert text.count("no training step was better on dev than step 0 (a head with random weights)") == 1
    assert "Several interpolation weights were equally good on dev, and one was kept, for: adapter." in text
    assert "adapter (kept untrained, 2 of 2 seeds)" in read_page(tmp_path).text
    assert "adapter (kept untrained, 2 of 2 seeds) &" in (tmp_path / "report/tables.tex").read_text()
    page = read_page(tmp_path)
    assert "0.00 (of 2)" in page.text  # the weights that were tried were as good


def test_rows_that_are_one_model_are_not_tested(tmp_path: Path) -> None:
    names = ["full", "lora", "adapter"]
    params = make_params(
        tmp_path,
        variants={"retriever": names, "reranker": names},
        seeds={"retriever": [1, 2], "reranker": [1]},
        measures={"retrieval": ["RR@10"], "reranking": ["RR@10"]},
    )
    write_study(tmp_path, params, lambda task, row, seed, measure: anything(task, "same", 0, measure))
    write_report(tmp_path, params)
    text = (tmp_path / "report/results.md").read_text(encoding="utf-8")
    assert "0.000 (every query alike)" in text and "0.000 to 0.000" not in text
    assert "may be due to chance" not in text  # there is no interval to speak of
    assert "| lora | 0.000 | none | no test |" in text
    assert "Undecided: lora, adapter (the same for every query)." in text


def test_selection_on_next_to_nothing_is_told(study: tuple[Path, Params]) -> None:
    root, params = study
    path = root / layout.COLLECTION / "manifest.json"
    manifest = json.loads(path.read_text())
    write_report(root, params)
    assert "fewer than 10" not in (root / "report/results.md").read_text()

    manifest["splits"]["dev"]["queries"] = 4
    path.write_text(json.dumps(manifest | {"dev_held_out": True}))
    write_report(root, params)
    text = (root / "report/results.md").read_text()
    assert text.count("selected by only 4 dev queries, fewer than 10") == 2
    assert "a share of its train queries was held out as dev" in text

    folds = [{"train": 5, "dev": 1, "test": 6}, {"train": 4, "dev": 2, "test": 6}]
    path.write_text(json.dumps(manifest | {"folds": folds}))
    write_report(root, params)
    text = (root / "report/results.md").read_text()
    assert "2 folds, each of 4 to 5 train queries, 1 to 2 dev queries, 6 test queries." in text
    assert "selected by only 1 dev query, fewer than 10" in text


def test_a_folder_is_told_by_its_name_alone(tmp_path: Path) -> None:
    params = make_params(
        tmp_path,
        **SMALL,
        collection={"source": "beir:/home/ada/secret/nfcorpus"},
        backbone={"name": "../models/own-bert"},
    )
    write_study(tmp_path, params, by_hand)
    write_report(tmp_path, params)
    for name in ("results.md", "index.html", "tables.tex"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert "beir:nfcorpus" in text and "secret" not in text and "../models" not in text


def test_names_of_lines_lie_beside_the_axes_and_apart(study: tuple[Path, Params]) -> None:
    root, params = study
    write_report(root, params)
    page = (root / "report/index.html").read_text(encoding="utf-8")
    [svg] = [part for part in page.split("<svg viewBox")[1:] if ">zero_shot</text>" in part][:1]
    svg = svg.split("</svg>")[0]
    marks = [float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)"', svg)]
    named = {
        name: re.search(rf'x="([\d.]+)" y="([\d.]+)"[^>]*>{name}</text>', svg)
        for name in ("BM25", "zero_shot")
    }
    places = {name: (float(found[1]), float(found[2])) for name, found in named.items() if found}
    assert len(places) == 2 and min(x for x, _ in places.values()) > max(marks)
    assert abs(places["BM25"][1] - places["zero_shot"][1]) > 9


ARTEFACTS = [
    ("data/collection/manifest.json", "prepare"),
    ("metrics/spread.tsv", "evaluate"),
    ("metrics/comparisons.tsv", "evaluate"),
    ("metrics/resources/bm25.json", "bm25"),
    ("metrics/resources/index/lora-14.json", "index"),
    ("metrics/resources/untrained/zero_shot.json", "untrained"),
    (str(layout.training("retriever", "zero_shot", None)), "untrained"),
    ("metrics/resources/rerank/lora-13.json", "rerank"),
    (str(layout.training("retriever", "lora", 14)), "train_retriever"),
    (str(layout.curve("retriever", "full", 13) / "plots/metrics/dev/RR@10.tsv"), "train_retriever"),
    (str(layout.curve("reranker", "full", 13) / "plots/metrics/train/loss.tsv"), "train_reranker"),
    (str(layout.interpolation("full", 13)), "rerank"),
]


@pytest.mark.parametrize(("path", "stage"), ARTEFACTS)
def test_a_missing_or_broken_artefact_is_named_with_its_stage(
    study: tuple[Path, Params], path: str, stage: str
) -> None:
    root, params = study
    for damage in (lambda file: file.write_bytes(file.read_bytes()[:9]), Path.unlink):
        damage(root / path)
        with pytest.raises(PeftirError) as error:
            write_report(root, params)
        message = str(error.value)
        assert message.startswith(f"{path}: ") and f"'{stage}'" in message and "\n" not in message
        assert not (root / "report").exists()


def test_artefacts_that_do_not_fit_together_are_refused(study: tuple[Path, Params]) -> None:
    root, params = study
    for path, named in ((layout.SPREAD, "'full'"), (layout.COMPARISONS, "'full' against 'bm25'")):
        content = (root / path).read_text()
        (root / path).write_text(content.replace("full\t", "other\t"))
        with pytest.raises(PeftirError, match=rf"{path}: no RR@10 at retrieval for {named}; .*'evaluate'"):
            write_report(root, params)
        (root / path).write_text(content.replace("0.375", "high"))
        with pytest.raises(PeftirError, match=rf"{path}: not readable: .*'high'"):
            write_report(root, params)
        (root / path).write_text(content)
    training = root / layout.training("retriever", "full", 13)
    trained = training.read_text()
    training.write_text(json.dumps(json.loads(trained) | {"best_step": 1000}))
    with pytest.raises(PeftirError, match=r"best_step: 1000: expected a step of .*dev/RR@10\.tsv"):
        write_report(root, params)
    training.write_text(trained)


@pytest.mark.parametrize(("colours", "paper"), [(BY_DAY, "#ffffff"), (BY_NIGHT, "#14171b")])
def test_colours_stand_out_from_the_page(colours: tuple[str, ...], paper: str) -> None:
    css = (Path(__file__).parents[2] / "src/peftir/report/templates/page.css").read_text(encoding="utf-8")
    assert f"--paper: {paper};" in css
    for colour in colours:
        light, dark = sorted((_luminance(colour), _luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def _luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_marks_stand_where_the_tests_find_something(tmp_path: Path) -> None:
    """IAA is better than full and than lora by far more than chance; lora is like full."""
    more = {"bm25": -0.2, "full": 0.0, "lora": 0.0, "iaa_l": 0.05}

    def values(task: str, row: str, seed: int, measure: str) -> list[float]:
        random = np.random.default_rng([seed + 1, *(ord(letter) for letter in task + row)])
        return list(0.5 + more[row.removesuffix("+bm25")] + random.normal(0, 0.02, 100))

    names = ["full", "lora", "iaa_l"]
    params = make_params(
        tmp_path,
        variants={"retriever": names, "reranker": names},
        seeds={"retriever": [1, 2, 3], "reranker": [1]},
        measures={"retrieval": ["RR@10"], "reranking": ["RR@10"]},
    )
    write_study(tmp_path, params, values)
    write_report(tmp_path, params)
    retrieval, reranking = read_markdown_tables(tmp_path)[:2]
    marks = {row[0]: "".join(re.findall("[*†]", row[3].replace("\\*", "*"))) for row in retrieval[2:]}
    # read_markdown_tables puts a * before what is bold, which is the best.
    assert marks == {"BM25": "*", "full": "", "lora": "", "iaa_l": "**†"}
    marked = [cell for row in reranking[2:] for cell in row if "†" in cell]
    assert len(marked) == 2  # IAA, alone and interpolated

    tables = read_page(tmp_path).tables
    tested = {tuple(row[:2]): row[2:] for row in tables[1] if len(row) > 1}
    assert tables[1][0][3:] == [
        "95 % interval",
        *(f"p, {n}" for n in ("queries and seeds", "t-test", "randomization")),
    ]
    assert list(tested) == [
        ("variant", "against"),
        ("BM25", "full"),
        ("lora", "full"),
        ("iaa_l", "full"),
        ("iaa_l", "lora"),
        ("full", "BM25"),
        ("lora", "BM25"),
        ("iaa_l", "BM25"),
    ]
    assert tested["iaa_l", "full"][2] == "< 0.001" and float(tested["lora", "full"][2]) > 0.05
    assert "p, queries and seeds" not in tables[3][0]  # one seed at re-ranking

    tex = (tmp_path / "report/tables.tex").read_text(encoding="utf-8")
    assert len(re.findall(r"^iaa\\_l .*\\textbf\{0\.\d+\}\$\^\{\*\\dagger\}\$", tex, flags=re.MULTILINE)) == 3


def test_latex_tables_are_whole(tmp_path: Path) -> None:
    """Braces, dollars and environments close, every line has its columns, and nothing is left unescaped."""
    params = make_params(tmp_path, **SMALL, collection={"source": r"50%_of #1 & {~^\$}"})
    write_study(tmp_path, params, by_hand)
    write_report(tmp_path, params)
    tex = (tmp_path / "report/tables.tex").read_text(encoding="utf-8")
    assert tex.isascii()
    bare = re.sub(r"\\[&%$#_{}\\]|^%.*$", "", tex, flags=re.MULTILINE)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert not re.search(r"[#%]|(?<!\$)\^", bare)
    for name in ("table", "tabular"):
        assert tex.count(rf"\begin{{{name}}}") == tex.count(rf"\end{{{name}}}") == 2
    for body in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", bare, flags=re.DOTALL):
        columns = len(re.match(r"\{(l?r*)", body)[1])  # type: ignore[index]
        lines = [line for line in body.splitlines() if "&" in line]
        assert len(lines) > 3 and {line.count("&") + 1 for line in lines} == {columns}
        assert body.count("\\midrule") >= 2


@pytest.mark.parametrize(
    ("recorded", "retrieval", "reranking"),
    [
        ({}, "the untrained backbone", "a head with random weights"),
        ({"scores_untrained": True}, "the untrained backbone", "the untrained re-ranker"),
        (
            {"start_from": {"adapter_model.safetensors": "0"}},
            *["the adapter that its training went on from"] * 2,
        ),
    ],
)
def test_what_training_started_from_is_what_its_record_says(
    recorded: dict[str, Any], retrieval: str, reranking: str, tmp_path: Path
) -> None:
    params = make_params(tmp_path, **SMALL)
    write_study(tmp_path, params, lambda task, row, seed, measure: RR[task, row, seed])

    def record(variants: list[str]) -> list[str]:
        for stage in ("retriever", "reranker"):
            for variant in variants:
                for seed in params.seeds.at(stage):
                    path = tmp_path / layout.training(stage, variant, seed)
                    path.write_text(json.dumps(json.loads(path.read_text()) | recorded))
        study = read_study(tmp_path, params)
        return [sentences.start_of(study.retrieval), sentences.start_of(study.reranking)]

    if "start_from" in recorded:
        assert record(["lora"]) == [
            f"the untrained backbone, and for lora {retrieval}",
            f"a head with random weights, and for lora {reranking}",
        ]
    assert record(params.variants.retriever) == [retrieval, reranking]


def test_an_untrained_reranker_is_a_row_and_the_baseline_of_the_others(tmp_path: Path) -> None:
    blocks = {**SMALL, "variants": {**SMALL["variants"], "untrained_reranker": ["zero_shot"]}}
    params = make_params(tmp_path, **blocks)
    scores = RR | {
        ("reranking", "zero_shot", -1): [0.5, 0.5, 0.5, 0.5],
        ("reranking", "zero_shot+bm25", -1): [1, 0.5, 0.5, 0.5],
    }
    write_study(tmp_path, params, lambda task, row, seed, measure: scores[task, row, seed])
    write_report(tmp_path, params)
    text = (tmp_path / "report/results.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| zero_shot")]
    assert any("0.500" in row for row in rows)
    assert [row.split("|")[1].strip() for row in rows].count("zero_shot + BM25") >= 1
    pairs = pd.read_csv(tmp_path / layout.COMPARISONS, sep="\t")
    found = pairs[pairs.stage == "reranking"]
    assert {("full", "zero_shot"), ("lora", "zero_shot")} <= {*zip(found.row, found.other, strict=True)}
    page = (tmp_path / "report/index.html").read_text()
    assert "step 0 is the untrained re-ranker" in page
