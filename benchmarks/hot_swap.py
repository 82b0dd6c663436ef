"""What N tuned tasks on one backbone take beside N full copies: disk, memory, and the time to switch.

Half of the tasks are retrievers and half re-rankers. Nothing is trained, which changes none of these: the
weights are those that a method starts with. Disk: the weight files. Memory: what a process of its own holds
resident more than before, once every task has answered and every weight has been read (Linux only). Switch:
the shortest time until another task can answer (other work on the machine lengthens the rest), by
``set_adapter`` or by loading its full copy from a disk whose files are in memory already.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers.utils import logging

from peftir.models import saving
from peftir.models.backbone import backbone_folder, link_wheels
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.study.params import MethodParams
from peftir.tuners import METHODS, load
from tuners import BUDGET, resident

TEXT = "Return a sorted copy of an array, along the given axis."
KINDS: dict[str, Callable[..., Any]] = {"retriever": SentenceTransformer, "reranker": CrossEncoder}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        epilog="example: python benchmarks/hot_swap.py --methods lora iaa_l --tasks 6",
    )
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--methods", nargs="+", default=["lora", "iaa_l"], choices=list(METHODS))
    parser.add_argument("--tasks", type=int, default=6, help="how many, at least 2 (default 6)")
    given = parser.parse_args()
    if given.tasks < 2:
        parser.error(f"--tasks: got {given.tasks}, expected at least 2: a retriever and a re-ranker")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    backbone = saving.stored_bytes(backbone_folder(given.backbone))
    link_wheels(Path())  # where PEFT finds the backbone of an adapter
    print(f"{given.backbone}, {given.tasks} tasks, {torch.__version__}, one thread")
    print("| | disk, MB | memory, MB | switch, ms |")
    print("| --- | ---: | ---: | ---: |")
    for method in ("full", *given.methods):
        with tempfile.TemporaryDirectory() as folder:
            folders = in_a_fork(saved, Path(folder), given.backbone, method, given.tasks)
            disk = sum(map(saving.stored_bytes, folders)) + (0 if method == "full" else backbone)
            memory, seconds = in_a_fork(copies if method == "full" else swapped, folders)
        what = f"{given.tasks} full copies" if method == "full" else f"1 backbone, {given.tasks} × {method}"
        print(f"| {what} | {disk / 1e6:.1f} | {memory * 1.048576:.0f} | {seconds * 1e3:.3g} |", flush=True)


def in_a_fork(work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` gives in a process of its own, with what is imported but no memory to use again."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(work, arguments)


def saved(root: Path, backbone: str, type: str, tasks: int) -> list[Path]:
    """Folders of so many models, a retriever and a re-ranker in turn."""
    rates = {"retriever": 1e-3, "reranker": 1e-3}
    budget = {"budget": BUDGET} if METHODS[type].size else {}
    method = MethodParams.model_validate({"type": type, "learning_rate": rates, **budget})
    folders = []
    for task, kind in zip(range(tasks), itertools.cycle(KINDS)):
        torch.manual_seed(task)
        if kind == "retriever":
            model: Any = new_biencoder(backbone, pooling="mean", query_length=32, document_length=64)
        else:
            model = new_crossencoder(backbone, length=80)
        saving.attach(model, type, method)
        folders.append(root / f"{kind}-{task}")
        saving.save(model, folders[-1], backbone)
    return folders


def copies(folders: list[Path]) -> tuple[float, float]:
    """MiB of a full copy of each model, and the fewest seconds to load one."""
    before, held, seconds = resident("VmRSS"), [], []
    for folder in folders:
        started = time.perf_counter()
        held.append(KINDS[kind_of(folder)](str(folder)))
        seconds.append(time.perf_counter() - started)
        answer(held[-1])
    return resident("VmRSS") - before, min(seconds)


def swapped(folders: list[Path]) -> tuple[float, float]:
    """MiB of one backbone with all of the adapters, and the fewest seconds to switch from one to the next."""
    before = resident("VmRSS")
    first = {kind: next(folder for folder in folders if kind_of(folder) == kind) for kind in KINDS}
    hosts = {kind: load(str(first[kind])) for kind, load in KINDS.items()}
    hosts["retriever"][0].model = hosts["reranker"][0].model.base_model
    for folder in folders:
        load(hosts[kind_of(folder)][0].model, folder, adapter_name=folder.name)
    seconds = []
    for folder in folders * 20:
        host = hosts[kind_of(folder)]
        started = time.perf_counter()
        host.set_adapter(folder.name)
        seconds.append(time.perf_counter() - started)
        if len(seconds) <= len(folders):
            answer(host)
    return resident("VmRSS") - before, min(seconds)


def kind_of(folder: Path) -> str:
    """Retriever or reranker."""
    return folder.name.split("-")[0]


def answer(model: SentenceTransformer | CrossEncoder) -> None:
    """Let the model do its work once, and read every weight: a file's are not in memory before."""
    model.encode([TEXT]) if isinstance(model, SentenceTransformer) else model.predict([(TEXT, TEXT)])
    for weights in model.parameters():
        weights.sum()


if __name__ == "__main__":
    main()
