"""The produced parts of the pages: they are up to date, and made as they should be."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
from pathlib import Path

import pytest
import yaml

from peftir.system.errors import PeftirError
from structure import ROOT, TRUSTING_GIT
from synthetic_study import make_params

SPEC = importlib.util.spec_from_file_location("update_pages", ROOT / "docs/update_pages.py")
assert SPEC and SPEC.loader
update_pages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(update_pages)


def uncommitted(*names: str) -> bool:
    """Whether one of these differs from what is committed, as after a study of one's own."""
    command = [*TRUSTING_GIT, "status", "--porcelain", "--", *names]
    return bool(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout)


def of_the_committed_study(folder: str) -> bool:
    """Whether the files under ``folder`` are those that the committed dvc.lock names, by their hashes."""
    command = [*TRUSTING_GIT, "show", "HEAD:dvc.lock"]
    lock = yaml.safe_load(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    outs = [out for stage in lock["stages"].values() for out in stage["outs"]]
    named = {out["path"]: out["md5"] for out in outs if out["path"].startswith(f"{folder}/")}
    assert named
    return all(
        (ROOT / path).is_file() and hashlib.md5((ROOT / path).read_bytes()).hexdigest() == md5
        for path, md5 in named.items()
    )


@pytest.mark.parametrize(
    ("name", "made_from"),
    [
        ("results", "report/results.md"),
        ("times", "metrics/resources"),
        ("throughput", "benchmarks/results.json"),
    ],
)
def test_produced_parts_are_those_of_the_files_that_they_come_from(name: str, made_from: str) -> None:
    if made_from == "metrics/resources" and not of_the_committed_study(made_from):
        pytest.skip(f"{made_from} is not that of the commit: it is in DVC's cache, or of a study run here")
    page, make = update_pages.BLOCKS[name]
    shown = update_pages.block_of((ROOT / page).read_text(encoding="utf-8"), name)[2]
    expected = make(ROOT)
    if shown != expected and uncommitted(made_from, "params.yaml"):
        pytest.skip(f"{made_from} is not committed; python docs/update_pages.py takes it over into the page")
    assert shown == expected, "run python docs/update_pages.py"


RESULTS = """# Results

- In short.

Of two.

## Retrieval

|  | weights trained | share | RR@10 | vs full (95 % interval) | R@100 |
| --- | ---: | ---: | ---: | ---: | ---: |
| BM25 | – | – | 0.5 | −0.1 (−0.2 to +0.1) | 0.9 |
| full | 10 | 100 % | **0.6** ± 0.1 | – | 0.8 |

## Re-ranking

|  | weights trained | share | RR@5 | vs full (95 % interval) |
| --- | ---: | ---: | ---: | ---: |
| BM25 | – | – | 0.4 | +0.1 (−0.2 to +0.3) |
| full | 10 | 100 % | 0.3 | – |
| full + BM25 | 10 | 100 % | **0.7** | – |

## The paper’s claims
"""


def test_updating_changes_the_produced_part_alone_and_only_once(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report/results.md").write_text(RESULTS)
    page = "# Page\n\n<!-- begin results (made) -->\n{}\n<!-- end results -->\n\nThe end.\n"
    once = update_pages.updated(page.format("old\n\nlines"), "results", tmp_path)
    assert once == page.format(
        "Of two.\n\n"
        "|  | weights trained | retrieval, RR@10 | vs full (95 % interval) | re-ranking, RR@5 | "
        "interpolated with BM25 |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| BM25 | – | 0.5 | −0.1 (−0.2 to +0.1) | 0.4 | – |\n"
        "| full | 10 | **0.6** ± 0.1 | – | 0.3 | **0.7** |"
    )
    assert update_pages.updated(once, "results", tmp_path) == once


def test_times_are_added_up_over_the_variants_and_seeds_in_params(tmp_path: Path) -> None:
    make_params(
        tmp_path,
        variants={"retriever": ["full", "lora"], "reranker": ["lora"]},
        seeds={"retriever": [1], "reranker": [1]},
    )
    spent = {
        "prepare": (1.2, 100),
        "bm25": (2.4, 200),
        "train_retriever/full-1": (100.4, 3000),
        "train_retriever/lora-1": (70.3, 2500),
        "train_retriever/left_over-1": (9999, 9999),
        "index/full-1": (3, 10),
        "index/lora-1": (3, 11),
        "retrieve/full-1": (4, 12),
        "retrieve/lora-1": (5, 12),
        "train_reranker/lora-1": (1000, 13),
        "rerank/lora-1": (6, 14),
        "learning": (7, 15),
    }
    for name, (seconds, memory) in spent.items():
        path = tmp_path / f"metrics/resources/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"seconds": {seconds}, "peak_memory_mb": {memory}}}')
    assert update_pages.times(tmp_path).splitlines()[2:] == [
        "| prepare | 1 | 1 | 1 | 100 |",
        "| bm25 | 1 | 2 | 2 | 200 |",
        "| train_retriever | 2 | 70 to 100 | 171 | 3,000 |",
        "| index | 2 | 3 | 6 | 11 |",
        "| retrieve | 2 | 4 to 5 | 9 | 12 |",
        "| train_reranker | 1 | 1,000 | 1,000 | 13 |",
        "| rerank | 1 | 6 | 6 | 14 |",
        "| learning | 1 | 7 | 7 | 15 |",
        "| all | 11 | | 1,202 | |",
    ]
    (tmp_path / "metrics/resources/bm25.json").unlink()
    with pytest.raises(PeftirError, match=r"metrics/resources/bm25\.json: not found; run the stage 'bm25'"):
        update_pages.times(tmp_path)


def test_throughput_is_what_the_benchmark_wrote(tmp_path: Path) -> None:
    assert update_pages.throughput(tmp_path) == "Not measured yet."
    path = tmp_path / "benchmarks/results.json"
    path.parent.mkdir()
    path.write_text(
        '{"machine": "two cores", "rows": [{"what": "encoding", "ours": 1230.0, "theirs": 8.9, '
        '"unit": "texts/s", "ratio": 1.7, "same": "yes"}]}'
    )
    assert update_pages.throughput(tmp_path).splitlines() == [
        "Measured on two cores.",
        "",
        "| task | peftir | sentence-transformers | unit | ratio | agreement |",
        "| --- | ---: | ---: | --- | ---: | --- |",
        "| encoding | 1,230 | 8.9 | texts/s | 1.70 | yes |",
    ]
    path.write_text('{"machine": "two cores"}')
    with pytest.raises(
        PeftirError, match=r"benchmarks/results\.json: not as expected \(KeyError\('rows'\)\)"
    ):
        update_pages.throughput(tmp_path)


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(PeftirError, match=r"docs/pipeline\.md: 0 blocks named 'times'; expected one"):
        update_pages.block_of("# peftir\n<!-- begin times -->\n", "times")
