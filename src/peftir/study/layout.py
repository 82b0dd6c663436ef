"""Where each artefact of the study lies, relative to the folder that holds ``params.yaml``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from peftir.study.seeds import Seed
from peftir.study.tasks import UNTRAINED, StageName, TaskName

BACKBONE = Path("backbone.lock")
COLLECTION = Path("data/collection")
BM25_INDEX = Path("data/bm25")
LEXICAL_INDEX = Path("data/lexical")
BM25_RUNS = Path("runs/bm25")
SHARED_INDEX = Path("data/shared_index")
PER_QUERY = Path("metrics/per_query.parquet")
LEARNING = Path("metrics/learning.json")
SURFACES = Path("metrics/surfaces.json")
SPREAD = Path("metrics/spread.tsv")
COMPARISONS = Path("metrics/comparisons.tsv")
SUMMARY = Path("metrics/summary.json")
VARIANTS = Path("metrics/variants.json")
QUERIES = Path("metrics/queries.parquet")
EXPLORER = Path("metrics/explorer.json")


def of(test: str | None, path: Path) -> Path:
    """Where ``path`` of the collection's own test queries lies for the test set ``test``; ``path`` for none.

    >>> str(of("scifact", Path("runs/bm25")))
    'runs/tests/scifact/bm25'
    """
    return path if test is None else Path(path.parts[0], "tests", test, *path.parts[1:])


def means_of(test: str) -> Path:
    """The mean measures of a test set at both tasks."""
    return Path("metrics/tests") / f"{test}.json"


def key(variant: str, seed: Seed | None) -> str:
    """The name of one model's folders: variant and seed, with its fold if there are any.

    An untrained variant, which is one model whatever the seeds, has the seed ``None`` here and below.
    """
    return variant if seed is None else f"{variant}-{seed}"


def model(stage: StageName, variant: str, seed: Seed | None) -> Path:
    """The folder of a trained model."""
    return Path("models") / stage / key(variant, seed)


def maker_of(folder: Path) -> str | None:
    """The item of DVC's pipeline that writes the model in ``folder``, relative to the study.

    ``None`` for a folder that no stage writes.

    >>> maker_of(Path("models/retriever/lora-13")), maker_of(Path("models/mining/first"))
    ('train_retriever@lora-13', 'train_miner@first')
    >>> maker_of(Path("models/reranker/zero_shot")), maker_of(Path("starts/lora-13"))
    ('untrained_reranker@zero_shot', None)
    """
    place = Path(os.path.normpath(folder))
    name = place.name
    if place.parent == Path("models/mining"):
        return f"train_miner@{name}"
    for stage, untrained in UNTRAINED.items():
        if place.parent == Path("models") / stage:
            return f"train_{stage}@{name}" if "-" in name else f"{untrained}@{name}"
    return None


def negatives(source: str) -> Path:
    """The ranking of the train queries that negatives are sampled from (:mod:`peftir.study.negatives`).

    >>> str(negatives("mining/first"))
    'runs/mining/first/train.trec'
    """
    return Path("runs") / source / "train.trec"


class TrainingPaths(NamedTuple):
    """Where a training writes."""

    model: Path
    record: Path
    """How the training went."""
    unfinished: Path
    """Where a training that was not finished goes on from."""

    def tokens(self, process: int) -> Path:
        """The tokens of one process's part of the texts, while the training lasts."""
        return self.unfinished.with_name(f"{self.unfinished.name}.{process}.tokens")


def training_paths(stage: StageName, variant: str, seed: Seed) -> TrainingPaths:
    """Where the training of a model of the results writes."""
    unfinished = Path("models/unfinished") / stage / key(variant, seed)
    return TrainingPaths(model(stage, variant, seed), training(stage, variant, seed), unfinished)


def miner_paths(name: str) -> TrainingPaths:
    """Where the training of the retriever ``name`` under ``mining`` writes."""
    return TrainingPaths(
        Path("models/mining") / name,
        Path("metrics/mining") / f"{name}.json",
        Path("models/unfinished/mining") / name,
    )


def training(stage: StageName, variant: str, seed: Seed | None) -> Path:
    """How a model's training went."""
    return Path("metrics/training") / stage / f"{key(variant, seed)}.json"


def curve(stage: StageName, variant: str, seed: Seed) -> Path:
    """The folder of a learning curve."""
    return Path("metrics/curves") / stage / key(variant, seed)


def learning_curves(stage: StageName) -> Path:
    """All of a stage's learning curves in one table, for plots."""
    return Path("metrics/learning_curves") / f"{stage}.tsv"


def index(variant: str, seed: Seed | None) -> Path:
    """The folder of a dense index."""
    return Path("data/index") / key(variant, seed)


def runs(task: TaskName, variant: str, seed: Seed | None) -> Path:
    """The folder of a model's runs."""
    return Path("runs") / task / key(variant, seed)


def run(candidates: str) -> Path:
    """The folder of the run that ``reranking.candidates`` names.

    >>> str(run("retrieval/lora-13"))
    'runs/retrieval/lora-13'
    """
    return Path("runs") / candidates


def fusion(retriever: str) -> Path:
    """The folder of the fused runs of BM25 and a retriever, which is named by its own folder."""
    return Path("runs/fusion") / retriever


def chain(retriever: str, variant: str, seed: Seed) -> Path:
    """The folder of a re-ranker's runs on first stages other than the candidates."""
    return Path("runs/chains") / retriever / key(variant, seed)


def fusion_weight(retriever: str) -> Path:
    """The weight of a retriever beside BM25, as chosen on dev."""
    return Path("metrics/fusion") / f"{retriever}.json"


def chain_weights(retriever: str, variant: str, seed: Seed) -> Path:
    """The weight of a re-ranker beside each first stage, as chosen on dev."""
    return Path("metrics/interpolation/chains") / retriever / f"{key(variant, seed)}.json"


def of_chains(retriever: str, path: Path) -> Path:
    """Where the table ``path`` of metrics lies for the chains of ``retriever``.

    >>> str(of_chains("lora-13", SPREAD))
    'metrics/chains/lora-13/spread.tsv'
    """
    return path.parent / "chains" / retriever / path.name


def lexical(name: str) -> Path:
    """BM25's parameters as selected on dev for a ranking of ``lexical``."""
    return Path("metrics/lexical") / f"{name}.json"


def interpolation(variant: str, seed: Seed | None) -> Path:
    """The weight of a re-ranker beside the first stage, as chosen on dev."""
    return Path("metrics/interpolation") / f"{key(variant, seed)}.json"


def metrics(task: TaskName) -> Path:
    """The mean measures of ``task``."""
    return Path("metrics") / f"{task}.json"


def resources(stage: str, variant: str | None = None, seed: Seed | None = None) -> Path:
    """Seconds and memory that one stage took."""
    folder = Path("metrics/resources")
    return folder / f"{stage}.json" if variant is None else folder / stage / f"{key(variant, seed)}.json"
