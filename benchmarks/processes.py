"""Training by one process and by several, in one run: seconds a step, and how many times as fast.

The model is params.yaml's backbone with LoRA, batches and lengths are params.yaml's, the texts are the
study's, which `dvc repro bm25` makes. `1 × 2` is one process with two threads. Run it on a machine that does
nothing else; with GPUs each process takes one, and threads matter little.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers.utils import logging

from ours import new_model
from peftir.models import saving
from peftir.study.params import MethodParams, Params, load_params
from peftir.system.errors import PeftirError, exits_cleanly
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from peftir.training.data import TrainingData
from peftir.training.distributed import launch, rank
from peftir.training.loop import train
from peftir.training.settings import Settings
from peftir.training.tokens import tokenized_in_memory
from side_by_side import Stopwatch, machine

METHOD = MethodParams.model_validate(
    {"type": "lora", "budget": 0.005, "learning_rate": {"retriever": 1e-3, "reranker": 1e-3}}
)


def timed(stage: str, params: Params, steps: int, seconds: Tensor) -> None:
    """Train, and write the seconds a step into ``seconds``, ``[1]``; each process of a group does this."""
    logging.disable_progress_bar()
    settings = params.training(stage)
    key = "hard_negatives" if stage == "retriever" else "negatives"
    data = TrainingData.read(Path(), None, settings, negatives=getattr(settings, key), key=f"{stage}.{key}")
    [batch] = data.sampler.draw(1, settings.batch_size, 13)

    torch.manual_seed(13)
    model = new_model(params, stage)
    loss: RetrieverLoss | RerankerLoss
    if stage == "retriever":
        loss = RetrieverLoss(model, data.sampler, params.retriever.temperature, settings.mini_batch_size)
    else:
        loss = RerankerLoss(model, settings.mini_batch_size)
    saving.attach(model, "lora", METHOD)
    tokens = tokenized_in_memory(data, [batch], loss)
    watch = Stopwatch()

    def backward(number: int) -> Tensor:
        if number > 0:  # the first step sets up
            watch.tick()
        return loss.backward(batch, tokens)

    train(
        model,
        range(steps + 2),
        backward,
        lambda: 0.0,
        replace(Settings.of(params, stage, METHOD), evaluate_every=steps + 2),
        lambda point: None,
        saving.head_of(model),
    )
    if rank() == 0:
        seconds[0] = watch.seconds_per_step


@exits_cleanly
def main() -> None:
    """Measure in turns and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python benchmarks/processes.py --processes 2 --steps 10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--processes", type=int, default=2, help="that share each batch (2)")
    parser.add_argument("--steps", type=int, default=10, help="optimizer steps that are timed (10)")
    parser.add_argument("--repeats", type=int, default=3, help="turns that each takes (3)")
    args = parser.parse_args()
    for name, least in (("processes", 2), ("steps", 1), ("repeats", 1)):
        if getattr(args, name) < least:
            raise PeftirError(f"--{name}: {getattr(args, name)}: expected {least} or more")
    params, several = load_params(), args.processes
    print(f"{machine()}; the median of {args.repeats}")
    print("| training | processes × threads | s/step | times as fast as 1 × 1 |")
    print("| --- | --- | ---: | ---: |")
    for stage in ("retriever", "reranker"):
        sides: dict[tuple[int, int], list[float]] = {(1, 1): [], (1, several): [], (several, 1): []}
        for _ in range(args.repeats):
            for (processes, threads), found in sides.items():
                torch.set_num_threads(processes * threads)  # a group's processes get an equal part
                seconds = torch.zeros(1).share_memory_()
                launch(timed, (stage, params, args.steps, seconds), processes, "--processes")
                found.append(seconds.item())
        alone = statistics.median(sides[1, 1])
        for (processes, threads), found in sides.items():
            step = statistics.median(found)
            print(f"| {stage} | {processes} × {threads} | {step:.3g} | {alone / step:.2f} |", flush=True)


if __name__ == "__main__":
    main()
