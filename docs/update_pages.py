"""Write the generated parts of the documentation: results, the costs of the stages, and throughput.

Each part stands in its page between two markers, ``<!-- begin NAME … -->`` and ``<!-- end NAME -->``, and
follows from files alone, so that the same files give the same page. The costs of the stages are in DVC's
cache, the others are in git. Run it after ``dvc repro``: ``python docs/update_pages.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.params import load_params
from peftir.study.tasks import TASKS, TITLES
from peftir.system.errors import PeftirError, exits_cleanly
from peftir.system.files import replacing

ROOT = Path(__file__).resolve().parents[1]
STAGES_BEFORE, STAGES_AFTER = ("prepare", "bm25"), ("learning",)


def results(root: Path) -> str:
    """The first measure of every variant at both stages, in one table, from ``report/results.md``."""
    path = root / "report/results.md"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PeftirError(f"{path}: not found; make it first (dvc repro)") from error
    what = text.split("\n\n")[2]  # after the title and the summary
    retrieval, reranking = (_table_after(f"## {title}", text, path) for title in TITLES.values())
    measures = [table[""][MEASURE] for table in (retrieval, reranking)]
    lines = [
        f"|  | weights trained | retrieval, {measures[0]} | vs full (95 % interval) "
        f"| re-ranking, {measures[1]} | interpolated with BM25 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row, cells in list(retrieval.items())[1:]:
        alone, mixed = (reranking.get(name, {}).get(MEASURE, "–") for name in (row, f"{row} + BM25"))
        lines.append(f"| {row} | {cells[1]} | {cells[MEASURE]} | {cells[MEASURE + 1]} | {alone} | {mixed} |")
    return f"{what}\n\n" + "\n".join(lines)


MEASURE = 3
"""The column of a table's first measure; the difference to full fine-tuning stands beside it."""


def _table_after(heading: str, text: str, path: Path) -> dict[str, dict[int, str]]:
    """The cells of the first table after ``heading``, by the name of the row and the column's number."""
    _, found, rest = text.partition(f"\n{heading}\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    if not found or not lines:
        raise PeftirError(f"{path}: no table under '{heading}'; make it again (dvc repro)")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
    return {cells[0]: dict(enumerate(cells)) for cells in rows}


def times(root: Path) -> str:
    """A table of the costs of each stage, for the variants and seeds in ``params.yaml``."""
    return "\n".join(_times(root))


def throughput(root: Path) -> str:
    """A table of ``benchmarks/results.json``, or a line that says that there is none."""
    path = root / "benchmarks/results.json"
    if not path.is_file():
        return "Not measured yet."
    try:
        return "\n".join(_throughput(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, KeyError, TypeError) as error:
        raise PeftirError(f"{path}: not as expected ({error!r}); measure again") from error


BLOCKS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "results": ("README.md", results),
    "times": ("docs/pipeline.md", times),
    "throughput": ("benchmarks/README.md", throughput),
}
"""The page of each part, and what makes it."""


def block_of(page: str, name: str) -> re.Match[str]:
    """Where the block ``name`` is in ``page``; its groups are begin marker, content and end marker.

    Raises:
        PeftirError: the markers are not there exactly once.
    """
    pattern = rf"(<!-- begin {name}\b[^>]*-->\n)(.*?)(\n?<!-- end {name} -->)"
    found = list(re.finditer(pattern, page, flags=re.DOTALL))
    if len(found) != 1:
        where = BLOCKS[name][0]
        raise PeftirError(f"{where}: {len(found)} blocks named '{name}'; expected one, between its markers")
    return found[0]


def updated(page: str, name: str, root: Path) -> str:
    """``page`` with its block ``name`` made anew from the files under ``root``."""
    block = block_of(page, name)
    content = BLOCKS[name][1](root)
    return f"{page[: block.start()]}{block[1]}{content}\n<!-- end {name} -->{page[block.end() :]}"


def _times(root: Path) -> Iterator[str]:
    params = load_params(root / "params.yaml")
    runs = {stage: [layout.resources(stage)] for stage in STAGES_BEFORE}
    if params.variants.untrained:
        runs["untrained"] = [layout.resources("untrained", name) for name in params.variants.untrained]
    for task in TASKS:
        variants, seeds = params.variants.trained(task.stage), params.seeds.at(task.stage)
        for stage in task.dvc_stages:
            runs[stage] = [layout.resources(stage, variant, seed) for variant in variants for seed in seeds]
    runs |= {stage: [layout.resources(stage)] for stage in STAGES_AFTER}
    total = 0.0
    yield "| stage | runs | seconds per run | total seconds | peak memory, MB |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for stage, paths in runs.items():
        spent = [(artefact, artefact.json()) for artefact in (Artefact(root, path, stage) for path in paths)]
        seconds = [artefact.number(content, "seconds") for artefact, content in spent]
        memory = max(artefact.number(content, "peak_memory_mb") for artefact, content in spent)
        total += sum(seconds)
        yield f"| {stage} | {len(paths)} | {_range(seconds)} | {sum(seconds):,.0f} | {memory:,.0f} |"
    yield f"| all | {sum(map(len, runs.values()))} | | {total:,.0f} | |"


def _range(values: list[float]) -> str:
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return low if low == high else f"{low} to {high}"


def _throughput(measured: dict) -> Iterator[str]:
    yield f"Measured on {measured['machine']}."
    yield ""
    yield "| task | peftir | sentence-transformers | unit | ratio | agreement |"
    yield "| --- | ---: | ---: | --- | ---: | --- |"
    for row in measured["rows"]:
        rates = f"{row['ours']:,g} | {row['theirs']:,g} | {row['unit']}"
        yield f"| {row['what']} | {rates} | {row['ratio']:.2f} | {row['same']} |"


@exits_cleanly
def main() -> None:
    """Bring the pages up to date."""
    for name, (page, _) in BLOCKS.items():
        path = ROOT / page
        before = path.read_text(encoding="utf-8")
        after = updated(before, name, ROOT)
        if after != before:
            with replacing(path) as partial:
                partial.write_text(after, encoding="utf-8")
        print(f"{page}: {'brought up to date' if after != before else 'is up to date'}")


if __name__ == "__main__":
    main()
