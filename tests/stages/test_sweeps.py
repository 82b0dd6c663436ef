"""Every recipe of docs/sweeps.md queues experiments that the study takes, as it stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.cli import main as dvc
from dvc.repo import Repo
from small_study import ROOT, clone

from peftir.study.params import Params, load_params

PAGE = (ROOT / "docs/sweeps.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^dvc (exp run --queue .*)$", PAGE, flags=re.MULTILINE)

# By a piece of the recipe: what its experiments differ in, and the values that they have.
TRIED = {
    "methods.lora.budget=": (lambda params: params.methods["lora"].budget, {0.0025, 0.005, 0.01}),
    "+methods.lora.rank=": (
        lambda params: (params.methods["lora"].rank, params.methods["lora"].budget),
        {(4, None), (16, None)},
    ),
    "learning_rate": (
        lambda params: tuple(params.methods[name].learning_rate.retriever for name in ("lora", "adapter")),
        {(5e-4, 5e-4), (5e-4, 1e-3), (1e-3, 5e-4), (1e-3, 1e-3)},
    ),
    "seeds.retriever=[13,14,15]": (lambda params: tuple(params.seeds.retriever), {(13, 14, 15)}),
    "seeds.retriever=[13],[14],[15]": (lambda params: tuple(params.seeds.retriever), {(13,), (14,), (15,)}),
    "backbone.name=": (
        lambda params: params.backbone.name,
        {"sentence-transformers/all-MiniLM-L6-v2", "BAAI/bge-small-en-v1.5"},
    ),
    "collection.train_share=": (lambda params: params.collection.train_share, {0.05, 0.1, 0.25, 0.5}),
    "variants.retriever=": (
        lambda params: (tuple(params.variants.retriever), tuple(params.variants.reranker)),
        {(("full", "lora"), ("full", "lora")), (("full", "iaa_l"), ("full", "lora"))},
    ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone that this process is in, where DVC looks paths up."""
    root = clone(tmp_path_factory.mktemp("sweeps") / "study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield root


def queued(root: Path) -> Iterator[Params]:
    """The params of what is in the queue."""
    path = root / "queued.yaml"
    with Repo(str(root)) as repo:
        for entry in repo.experiments.celery_queue.iter_queued():
            with repo.switch(entry.stash_rev):
                path.write_text(repo.fs.open("params.yaml").read(), encoding="utf-8")
            yield load_params(path)


def test_every_recipe_is_tried() -> None:
    assert len(RECIPES) == len(TRIED) > 0
    assert all(any(piece in recipe for recipe in RECIPES) for piece in TRIED)


@pytest.mark.parametrize("piece", TRIED)
def test_a_recipe_queues_the_experiments_that_it_names(root: Path, piece: str) -> None:
    (recipe,) = (recipe for recipe in RECIPES if piece in recipe)
    assert dvc([*shlex.split(recipe), "--quiet"]) == 0
    different, expected = TRIED[piece]
    found = [different(params) for params in queued(root)]
    assert sorted(map(str, found)) == sorted(map(str, expected))
    assert dvc(["queue", "remove", "--all", "--quiet"]) == 0
