"""Gradient caching with a batch far larger than a mini-batch: peftir, sentence-transformers and tevatron.

``throughput.py`` runs this script once for each library and turn, so that each has a process of its own, with
a peak memory of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from typing import Any

import torch

import plain
from inputs import Lessons
from ours import new_model, train_in_place
from peftir.data.collection import Collection
from peftir.ranking.candidates import Candidates
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import PeftirError, exits_cleanly
from peftir.system.resources import peak_memory_mb
from peftir.training.data import TrainingData
from peftir.training.examples import Sampler
from side_by_side import Row, Side, Stopwatch, in_turns

SEED = 13


def cached_rows(
    batch: int, mini_batch: int, steps: int, repeats: int, theirs_in: str, tevatron: str | None
) -> list[Row]:
    """The rows of training a retriever with gradient caching; ``tevatron`` is the folder of its code."""

    def run(library: str, _: int) -> tuple[float, dict[str, Any]]:
        command = [sys.executable, __file__, library, *map(str, (batch, mini_batch, steps, theirs_in))]
        paths = [os.environ.get("PYTHONPATH"), tevatron]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeftirError(f"{library}: {done.stderr.strip().splitlines()[-1]}")
        found = json.loads(done.stdout.splitlines()[-1])
        return batch / found["seconds"], found

    names = ["peftir", "sentence-transformers", *(["tevatron"] if tevatron else [])]
    sides = dict(zip(names, in_turns(repeats, *(partial(run, name) for name in names)), strict=True))
    return [_row(batch, name, sides["peftir"], sides[name]) for name in names[1:]]


def _row(batch: int, name: str, ours: Side[dict[str, Any]], theirs: Side[dict[str, Any]]) -> Row:
    first, second = ours.results[-1], theirs.results[-1]
    same = "; ".join(
        f"{what} {first[key]:{form}} and {second[key]:{form}}{unit}"
        for what, key, form, unit in (
            ("peak memory", "peak_mb", ",", " MB"),
            ("CPU time of a step", "cpu_seconds", ".1f", " s"),
            ("first loss", "first_loss", ".4f", ""),
        )
    )
    what = f"training, retriever, full, cached batch of {batch:,}, beside {name}"
    return Row(what, "examples/s", ours.rates, theirs.rates, same)


def lessons_of(params: Params, steps: int) -> Lessons:
    """Batches of queries of all splits with a relevant document each, none twice in a batch.

    Raises:
        PeftirError: the collection has fewer queries than a batch.
    """
    collection = Collection(layout.COLLECTION)
    splits = ("train", "dev", "test")
    qrels = {query: docs for split in splits for query, docs in collection.qrels(split).items()}
    queries = {query: text for split in splits for query, text in collection.queries(split).items()}
    size = params.retriever.batch_size
    if len(qrels) < size:
        raise PeftirError(f"--batch: {size}: the collection has {len(qrels)} judged queries; expected fewer")
    sampler = Sampler(
        qrels,
        Candidates.of_run({}, None),
        negatives=0,
        key="retriever.hard_negatives",
        own_documents=collection.own_documents,
    )
    batches = [next(sampler.draw(1, size, seed)) for seed in range(steps)]
    numbers = sorted({example.positive for batch in batches for example in batch})
    ids = [sampler.documents[number].as_py() for number in numbers]
    texts = dict(zip(numbers, collection.texts_of(ids)(ids), strict=True))
    return Lessons(TrainingData(collection, queries, sampler), batches, texts)


def train_peftir(params: Params, lessons: Lessons, watch: Stopwatch) -> None:
    """Train with this package."""
    torch.manual_seed(SEED)
    model = new_model(params, "retriever")
    train_in_place(params, "retriever", "full", model, lessons, watch)


def train_tevatron(params: Params, lessons: Lessons, watch: Stopwatch) -> None:
    """Train with tevatron's ``GradCacheTrainer``, which would leave the temperature out."""
    from tevatron.retriever.arguments import DataArguments, TevatronTrainingArguments
    from tevatron.retriever.collator import TrainCollator
    from tevatron.retriever.gc_trainer import GradCacheTrainer, SimpleContrastiveLoss
    from tevatron.retriever.modeling import DenseModel
    from torch.utils.data import SequentialSampler

    class InOrder(GradCacheTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

    torch.manual_seed(SEED)
    model = plain.new_retriever(params.backbone, params.retriever.document_length)
    settings, mini_batch = params.retriever, params.retriever.mini_batch_size
    lengths = {"query_max_len": settings.query_length, "passage_max_len": settings.document_length}
    examples = [example for batch in lessons.batches for example in batch]
    arguments = plain.arguments(
        params, "retriever", params.methods["full"], len(lessons.batches), SEED, "float32"
    )
    del arguments["batch_sampler"]

    def loss_fn(queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = SimpleContrastiveLoss()(queries / settings.temperature, documents)
        watch.losses.append(loss.detach())
        return loss

    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=DenseModel(model[0].model, pooling=params.backbone.pooling, normalize=True),
            args=TevatronTrainingArguments(
                folder,
                **arguments,
                remove_unused_columns=False,
                gc_q_chunk_size=mini_batch,
                gc_p_chunk_size=mini_batch,
            ),
            data_collator=TrainCollator(DataArguments(**lengths), model.tokenizer),
            train_dataset=[
                ((lessons.data.queries[example.query],), [(text,)])
                for example, text in zip(examples, lessons.texts(e.positive for e in examples), strict=True)
            ],
            callbacks=[plain.Ticking(watch)],
        )
        trainer.gc.loss_fn = loss_fn
        trainer.train()


class CpuStopwatch(Stopwatch):
    """Counts the CPU time of this process, too, which other programs change less."""

    def __init__(self) -> None:
        super().__init__()
        self._cpu: list[float] = []

    def tick(self) -> None:
        """Note that a step begins."""
        super().tick()
        self._cpu.append(time.process_time())

    @property
    def cpu_seconds_per_step(self) -> float:
        """As :attr:`seconds_per_step`."""
        return (self._cpu[-1] - self._cpu[0]) / (len(self._cpu) - 1)


@exits_cleanly
def main() -> None:
    """Train with one library and print what it took, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("peftir", "sentence-transformers", "tevatron"))
    parser.add_argument("batch", type=int)
    parser.add_argument("mini_batch", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("theirs_in", choices=("float32", "bfloat16"))
    args = parser.parse_args()
    params = load_params()
    changes = {"batch_size": args.batch, "mini_batch_size": args.mini_batch, "hard_negatives": 0}
    params = params.model_copy(update={"retriever": params.retriever.model_copy(update=changes)})
    lessons, watch = lessons_of(params, args.steps), CpuStopwatch()
    if args.library == "peftir":
        train_peftir(params, lessons, watch)
    elif args.library == "tevatron":
        train_tevatron(params, lessons, watch)
    else:
        full = params.methods["full"]
        plain.train_retriever(params, full, lessons, SEED, watch, args.theirs_in)
    watch.tick()  # so that the last step counts, which may be the only one
    peak = torch.cuda.max_memory_allocated() // 10**6 if torch.cuda.is_available() else peak_memory_mb()
    found = {
        "seconds": watch.seconds_per_step,
        "cpu_seconds": watch.cpu_seconds_per_step,
        "peak_mb": peak,
        "first_loss": float(watch.losses[0]),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
