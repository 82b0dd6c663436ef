"""The report's section on chains: its numbers, its marks, and when there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from peftir.pipeline.evaluate_chains import write_tables
from peftir.report import write_report
from peftir.report.chains import read_chains
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.system.files import remove
from synthetic_study import make_params, write_study

# The mean of each first stage; of the re-ranked ones, more by 0.1.
MEANS = {"bm25": 0.3, "lora-13": 0.3, "rrf": 0.31, "interpolated": 0.45}
QUERIES = 40


def params_of(folder: Path, **changed: Any) -> Params:
    return make_params(
        folder,
        **{
            "variants": {"untrained": [], "retriever": ["lora"], "reranker": ["lora"]},
            "seeds": {"retriever": [13], "reranker": [13, 14]},
            "measures": {"retrieval": ["RR@10"], "reranking": ["RR@10", "nDCG@10"]},
            "chains": ["lora-13"],
            **changed,
        },
    )


def lines_of(params: Params) -> pd.DataFrame:
    """A line a re-ranker, first stage, seed, query and measure."""
    lines = [
        {"stage": reranker, "row": row, "seed": seed, "query": f"q{query}", "measure": measure}
        | {"value": round(mean + 0.1 * (reranker != "none") + 0.01 * ((3 * query + seed) % 5 - 2), 4)}
        for reranker in ("none", "lora", "lora+first")
        for row, mean in MEANS.items()
        for seed in ([-1] if reranker == "none" else [13, 14])
        for measure in params.measures.reranking
        for query in range(QUERIES)
    ]
    return pd.DataFrame(lines)


def write(folder: Path, **changed: Any) -> dict[str, str]:
    """A study's report, by the name of the file."""
    params = params_of(folder, **changed)
    write_study(folder, params, lambda task, row, seed, measure: [0.1 * (i % 7) for i in range(8)])
    for retriever in params.chains:
        list(write_tables(folder, lines_of(params), retriever))
    write_report(folder, params)
    return {path.name: path.read_text(encoding="utf-8") for path in (folder / "report").iterdir()}


def test_a_table_has_each_first_stage_alone_and_behind_each_re_ranker(tmp_path: Path) -> None:
    texts = write(tmp_path)
    _, _, section = texts["results.md"].partition("## Chains\n")
    section = section.partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    alone, reranked, interpolated = (rows[i : i + 6] for i in (0, 6, 12))
    assert len(rows) == 18
    assert [row.split(" | ")[0] for row in alone[2:]] == [
        "| BM25",
        "| lora‑13".replace("‑", "-"),
        "| BM25 and lora-13, reciprocal rank fusion",
        "| BM25 and lora-13, interpolation",
    ]
    assert alone[2].startswith("| BM25 | 0.300 |") and reranked[2].startswith("| BM25 | 0.400 ± ")
    assert "0.550\\*" in reranked[5] and "+0.150" in reranked[5]
    assert "every query alike" in interpolated[3] and "\\*" not in interpolated[3]
    assert "Re-ranked by lora, interpolated with the first stage:" in section
    assert "Cormack et al. 2009" in section
    assert texts["index.html"].count('<section id="chains">') == 1
    assert "\\label{tab:chains-lora-13}" in texts["tables.tex"]


def test_each_test_set_has_a_table_in_its_own_measures(tmp_path: Path) -> None:
    measures = {"retrieval": ["R@100"], "reranking": ["nDCG@10"]}
    params = params_of(tmp_path, tests={"far": {"source": "beir:../far", "measures": measures}})
    for test in (None, "far"):
        list(write_tables(tmp_path, lines_of(params), "lora-13", test))
    own, far = read_chains(tmp_path, params)
    assert (own.title, own.name) == ("Chains with lora-13", "chains-lora-13")
    assert (far.title, far.name) == ("Chains with lora-13 on far", "chains-far-lora-13")
    assert (own.table().columns[0], own.table().columns[3:]) == ("RR@10", ["nDCG@10"])
    assert (far.table().columns[0], far.table().columns[3:]) == ("nDCG@10", [])
    remove(tmp_path / "metrics/tests/far/chains/lora-13/spread.tsv")
    with pytest.raises(PeftirError, match=r"tests/far/chains/.*run the stage 'evaluate_chain_test'"):
        list(read_chains(tmp_path, params))


def test_without_chains_there_is_no_such_section(tmp_path: Path) -> None:
    for text in write(tmp_path, chains=[]).values():
        assert "Chains with" not in text


def test_a_table_that_lacks_a_first_stage_is_an_error_that_names_its_stage(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "metrics/chains/lora-13/spread.tsv"
    path.write_text("".join(line for line in path.open() if "\trrf\t" not in line))
    with pytest.raises(
        PeftirError, match=r"chains/lora-13/spread.tsv: .*'rrf'; run the stage 'evaluate_chain'"
    ):
        write_report(tmp_path, params_of(tmp_path))
