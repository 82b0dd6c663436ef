"""What a training step of each method costs: seconds and peak memory, beside full fine-tuning and LoRA.

    python benchmarks/tuners.py [--backbone NAME] [--batch 16] [--tokens 64] [--rounds 7]

Every method at a budget of 0.5 % of the backbone where it takes one, AdamW, fp32, one thread, random texts of
equal length. Seconds: the methods take turns, one step each a round, and the median of the rounds counts, so
that a slow spell of the machine meets all of them. Memory: the highest resident memory of two steps over that
of the loaded backbone, each method in a process of its own (Linux only).
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModel, PreTrainedModel
from transformers.utils import logging

from peftir.models.backbone import backbone_folder
from peftir.tuners import METHODS, attach, count

BUDGET = 0.005


def main() -> None:
    """Measure and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--tokens", type=int, default=64)
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    ids = torch.randint(1000, 9000, (given.batch, given.tokens), generator=torch.Generator().manual_seed(0))
    types = [type for type in METHODS if type != "zero_shot"]

    # First, and by forking, before this process has memory of its own to reuse.
    fork = multiprocessing.get_context("fork")
    memory = {}
    for type in types:
        with fork.Pool(1) as pool:
            memory[type] = pool.apply(peak_of_two_steps, (given.backbone, type, ids))

    models = {type: tuned(given.backbone, type) for type in types}
    steps = {type: step_of(model, ids) for type, model in models.items()}
    seconds: dict[str, list[float]] = {type: [] for type in types}
    for round in range(given.rounds + 1):
        for type in types:
            started = time.perf_counter()
            steps[type]()
            if round:  # the first warms up
                seconds[type].append(time.perf_counter() - started)
    typical = {type: statistics.median(values) for type, values in seconds.items()}

    print(f"{given.backbone}: {given.batch} texts of {given.tokens} tokens, {given.rounds} rounds")
    print("| method | share | s/step | ÷ full | ÷ lora | ÷ adapter | peak MiB | ÷ full | ÷ lora |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for type in types:
        time_ratios = [f"{typical[type] / typical[other]:.2f}" for other in ("full", "lora", "adapter")]
        memory_ratios = [f"{memory[type] / memory[other]:.2f}" for other in ("full", "lora")]
        share = f"{count(models[type]).share:.2%}"
        figures = [share, f"{typical[type]:.3f}", *time_ratios, f"{memory[type]:.0f}", *memory_ratios]
        print(f"| {type} | {' | '.join(figures)} |")


def tuned(backbone: str, type: str) -> PreTrainedModel:
    """The backbone with a method on it, ready to train."""
    model = AutoModel.from_pretrained(backbone_folder(backbone), add_pooling_layer=False)
    torch.manual_seed(0)
    attach(model, type, **({"budget": BUDGET} if METHODS[type].size else {}))
    return model.train()


def step_of(model: PreTrainedModel, ids: torch.Tensor) -> Callable[[], None]:
    """A function that takes one training step."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=ids).last_hidden_state.mean(1).square().sum().backward()
        optimizer.step()

    return step


def peak_of_two_steps(backbone: str, type: str, ids: torch.Tensor) -> float:
    """MiB of resident memory that two steps (the second has the optimizer's state) take at most."""
    model = tuned(backbone, type)
    step = step_of(model, ids)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets the highest mark back to the present
    step()
    step()
    return resident("VmHWM") - before


def resident(kind: str) -> float:
    """A line of this process's memory status, in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(kind)) / 1024


if __name__ == "__main__":
    main()
