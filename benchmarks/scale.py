"""A rehearsal of MS MARCO: seconds and peak memory of every stage on a collection of its shape.

Generated passages, queries and judgements in MS MARCO's own files go through the stages' own scripts, each in
a process of its own, at several shares of 8.8 million passages and 500,000 train queries. The backbone is a
tiny random one, so that a stage's time is that of what surrounds the model. From the shares follow each
stage's time and memory at the full size, by a straight line. The test set has the size of MS MARCO's
dev set at every share; at last, copies of the trained models stand for 16 variants with 5 seeds each.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
PASSAGES, TRAIN, DEV, TEST = 8_841_823, 500_000, 1_000, 6_980
PASSAGE_WORDS, QUERY_WORDS = 56, 6
SYLLABLES = ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "ya"]
WORDS = np.array(["".join(syllables) for syllables in itertools.product(SYLLABLES, repeat=4)], dtype=object)
CHUNK = 50_000

CHANGES: dict[str, Any] = {
    "collection": {"source": "msmarco-passage:passages", "documents": None},
    "backbone": {"name": "./backbone", "revision": None},
    "methods": {
        "zero_shot": {"type": "zero_shot"},
        "lora": {"type": "lora", "rank": 4, "learning_rate": {"retriever": 1e-3, "reranker": 1e-3}},
    },
    "variants": {"untrained": ["zero_shot"], "retriever": ["lora"], "reranker": ["lora"]},
    "seeds": {"retriever": [13], "reranker": [13]},
    "learning": {"seeds": 1},
}
STAGES: list[tuple[str, ...]] = [
    ("prepare",),
    ("backbone",),
    ("bm25",),
    ("untrained", "zero_shot"),
    ("train_retriever", "lora", "13"),
    ("index", "lora", "13"),
    ("retrieve", "lora", "13"),
    ("train_reranker", "lora", "13"),
    ("rerank", "lora", "13"),
    ("evaluate",),
    ("learning",),
    ("report",),
]
VARIANTS, SEEDS = [f"lora{number}" for number in range(16)], list(range(13, 18))
WIDE: list[tuple[str, ...]] = [("evaluate",), ("learning",), ("report",)]

# Runs a command and prints its peak memory in KB. A process's peak starts with that of its parent, which is
# small here, unlike this process.
STARTER = """
import os, sys
child = os.fork()
if not child:
    os.dup2(2, 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Spent:
    """What a stage took."""

    seconds: float
    megabytes: float


def write_passages(folder: Path, passages: int, train: int) -> None:
    """Write MS MARCO's files: passages of Zipf's words, queries of words of a passage."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    splits = {"train": train, "dev.small": DEV, "test": TEST}
    asked = np.sort(random.choice(passages, sum(splits.values()), replace=False))
    texts: list[str] = []
    with (folder / "collection.tsv").open("w") as file:
        for start in range(0, passages, CHUNK):
            words = _words(random, min(CHUNK, passages - start))
            file.writelines(f"{start + i}\t{' '.join(row)}\n" for i, row in enumerate(words))
            chosen = asked[(asked >= start) & (asked < start + len(words))] - start
            places = random.integers(0, PASSAGE_WORDS, (len(chosen), QUERY_WORDS))
            texts += [" ".join(words[row][place]) for row, place in zip(chosen, places, strict=True)]
    order, start = random.permutation(len(asked)), 0
    for split, count in splits.items():
        rows = order[start : start + count]
        queries = "".join(f"{row}\t{texts[row]}\n" for row in rows)
        (folder / f"queries.{split}.tsv").write_text(queries)
        judged = "".join(f"{row}\t0\t{asked[row]}\t1\n" for row in rows)
        (folder / f"qrels.{split}.tsv").write_text(judged)
        start += count


def _words(random: np.random.Generator, passages: int) -> np.ndarray:
    """Words by Zipf's law with exponent 1: ``[passages, PASSAGE_WORDS]``."""
    ranks = len(WORDS) ** random.random((passages, PASSAGE_WORDS), dtype=np.float32)
    return WORDS[np.minimum(ranks.astype(np.int64), len(WORDS)) - 1]


def write_backbone(folder: Path) -> None:
    """Write a random BERT of one layer of 32 numbers, whose tokens are the words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    vocabulary = {word: i for i, word in enumerate([*special.values(), *WORDS])}
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special)
    fast.save_pretrained(folder)


def write_params(folder: Path, **changes: dict[str, Any]) -> None:
    """Write the repository's params with :data:`CHANGES` and others."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for block, content in (CHANGES | changes).items():
        params[block] = content if block in ("methods", "variants", "seeds") else params[block] | content
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def run(folder: Path, stage: tuple[str, ...]) -> Spent:
    """Run a stage's script in ``folder``; what it took is the process's own, without its children."""
    name, *model = stage
    options = [text for pair in zip(("--variant", "--seed"), model, strict=False) for text in pair]
    command = [sys.executable, str(ROOT / "stages" / f"{name}.py"), *options]
    start = time.perf_counter()
    with (folder / f"{name}.log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-ISc", STARTER, *command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"{name} failed:\n{(folder / f'{name}.log').read_text()[-2000:]}")
    return Spent(time.perf_counter() - start, int(done.stdout) / 1024)


def widen(folder: Path) -> None:
    """Let the trained models' artefacts, linked under other names, stand for many variants and seeds."""
    write_params(
        folder,
        methods={"zero_shot": CHANGES["methods"]["zero_shot"]}
        | dict.fromkeys(VARIANTS, CHANGES["methods"]["lora"]),
        variants={"untrained": ["zero_shot"], "retriever": VARIANTS, "reranker": VARIANTS},
        seeds={"retriever": SEEDS, "reranker": SEEDS},
        learning={"seeds": 0},
    )
    for path in [path for path in folder.rglob("lora-13*") if path.parts[-2] != "unfinished"]:
        for variant, seed in itertools.product(VARIANTS, SEEDS):
            copy = path.with_name(path.name.replace("lora-13", f"{variant}-{seed}"))
            if path.is_dir():
                shutil.copytree(path, copy, copy_function=os.link)
            else:
                copy.hardlink_to(path)


def measured(folder: Path, share: float) -> Iterator[tuple[str, Spent]]:
    """All stages at ``share`` of MS MARCO, then what compares the variants for many of them."""
    write_passages(folder / "passages", round(PASSAGES * share), round(TRAIN * share))
    write_backbone(folder / "backbone")
    write_params(folder)
    for stage in STAGES:
        yield stage[0], run(folder, stage)
    widen(folder)
    for stage in WIDE:
        yield f"{stage[0]}, {len(VARIANTS)} x {len(SEEDS)}", run(folder, stage)


def full_size(shares: list[float], figures: list[float]) -> float:
    """The straight line through ``figures`` by share, at the whole collection."""
    if len(shares) == 1:
        return float("nan")
    slope, start = np.polyfit(shares, figures, 1)
    return float(max(start + slope, *figures))


def main() -> None:
    """Print a line per stage: seconds and memory at each share, and at the full size by a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python benchmarks/scale.py --shares 0.01 0.1"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1], help="of MS MARCO's size")
    parser.add_argument("--folder", type=Path, help="keep all files here (default: a temporary folder)")
    arguments = parser.parse_args()
    table: dict[str, list[Spent]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for share in arguments.shares:
            folder = (arguments.folder or Path(temporary)).resolve() / str(share)
            folder.mkdir(parents=True)
            for stage, spent in measured(folder, share):
                table.setdefault(stage, []).append(spent)
                print(f"{share} {stage}: {spent.seconds:.0f} s, {spent.megabytes:,.0f} MB", flush=True)
    print_table(arguments.shares, table)


def print_table(shares: list[float], table: dict[str, list[Spent]]) -> None:
    """Print the figures as a Markdown table."""
    heads = [f"{unit}, {size}" for unit in ("s", "MB") for size in (*(f"{s:g}" for s in shares), "whole")]
    print("| stage | " + " | ".join(heads) + " |")
    print("| --- |" + " ---: |" * len(heads))
    for stage, spent in table.items():
        cells = [stage]
        for figures in ([one.seconds for one in spent], [one.megabytes for one in spent]):
            cells += [f"{figure:,.0f}" for figure in (*figures, full_size(shares, figures))]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
