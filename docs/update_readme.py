"""Write the produced parts of README.md: results, what the stages take, and throughput.

Each part stands between two markers, ``<!-- begin NAME … -->`` and ``<!-- end NAME -->``, and follows from
files alone, so that the same files give the same README. What the stages take is in DVC's cache, the others
are in git. Run it after ``dvc repro``: ``python docs/update_readme.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from peftir.report.sentences import BEHIND_CLAIMS
from peftir.report.study import STEPS
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.params import load_params
from peftir.system.errors import PeftirError, exits_cleanly
from peftir.system.files import replacing

ROOT = Path(__file__).resolve().parents[1]
STAGES_BEFORE, STAGES_AFTER = ("prepare", "bm25"), ("learning",)
STAGES_PER_MODEL = {"retriever": STEPS["retrieval"], "reranker": STEPS["reranking"]}


def results(root: Path) -> str:
    """``report/results.md`` up to the numbers behind the claims, its headings one level down, no title."""
    path = root / "report/results.md"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PeftirError(f"{path}: not found; make it first (dvc repro)") from error
    _, _, body = text.partition("\n")
    body, _, _ = body.partition(f"\n## {BEHIND_CLAIMS}")
    body = re.sub(r"^(?=#)", "#", body, flags=re.MULTILINE).strip()
    return f"{body}\n\n[report/results.md](report/results.md) has the numbers behind the claims."


def times(root: Path) -> str:
    """A table of what each stage took, of the variants and seeds in ``params.yaml``."""
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


BLOCKS: dict[str, Callable[[Path], str]] = {"results": results, "times": times, "throughput": throughput}


def block_of(readme: str, name: str) -> re.Match[str]:
    """Where the block ``name`` is; its groups are the begin marker, the content and the end marker.

    Raises:
        PeftirError: the markers are not there exactly once.
    """
    pattern = rf"(<!-- begin {name}\b[^>]*-->\n)(.*?)(\n<!-- end {name} -->)"
    found = list(re.finditer(pattern, readme, flags=re.DOTALL))
    if len(found) != 1:
        raise PeftirError(f"README.md: {len(found)} blocks named '{name}'; expected one, between its markers")
    return found[0]


def updated(readme: str, root: Path) -> str:
    """``readme`` with every block made anew from the files under ``root``."""
    for name, make in BLOCKS.items():
        block = block_of(readme, name)
        begin, _, end = block.groups()
        readme = f"{readme[: block.start()]}{begin}{make(root)}{end}{readme[block.end() :]}"
    return readme


def _times(root: Path) -> Iterator[str]:
    params = load_params(root / "params.yaml")
    runs = {stage: [layout.resources(stage)] for stage in STAGES_BEFORE}
    for kind, stages in STAGES_PER_MODEL.items():
        variants, seeds = getattr(params.variants, kind), getattr(params.seeds, kind)
        for stage in stages:
            runs[stage] = [layout.resources(stage, variant, seed) for variant in variants for seed in seeds]
    runs |= {stage: [layout.resources(stage)] for stage in STAGES_AFTER}
    total = 0.0
    yield "| stage | runs | seconds a run | seconds in all | most memory, MB |"
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
    yield "| what | peftir | sentence-transformers | unit | ratio | same |"
    yield "| --- | ---: | ---: | --- | ---: | --- |"
    for row in measured["rows"]:
        rates = f"{row['ours']:,g} | {row['theirs']:,g} | {row['unit']}"
        yield f"| {row['what']} | {rates} | {row['ratio']:.2f} | {row['same']} |"


@exits_cleanly
def main() -> None:
    """Bring README.md up to date."""
    path = ROOT / "README.md"
    before = path.read_text(encoding="utf-8")
    after = updated(before, ROOT)
    if after != before:
        with replacing(path) as partial:
            partial.write_text(after, encoding="utf-8")
    print(f"{path.name}: {'brought up to date' if after != before else 'is up to date'}")


if __name__ == "__main__":
    main()
