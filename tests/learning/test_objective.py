"""The loss of saved models: which weights it is a function of, and that the analysis runs on real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir import tuners
from peftir.learning.objective import trained_weights
from peftir.learning.sharpness import largest_eigenvalue
from peftir.learning.surface import surface
from peftir.models import saving
from peftir.training.examples import Example
from peftir.training.losses import contrastive_loss, listwise_loss
from tuned_models import BACKBONE, tuned

QUERIES = {"q1": "sort a list", "q2": "open a file"}
TEXTS = {"d1": "Return the items in order.", "d2": "Opens a path for reading.", "d3": "Adds two numbers."}
BATCH = [Example("q1", "d1", ("d3",)), Example("q2", "d2", ("d3",))]
KINDS = {"retriever": SentenceTransformer, "reranker": CrossEncoder}


def texts(ids: list[str]) -> list[str]:
    return [TEXTS[id] for id in ids]


def loss_of(kind: str, model):
    if kind == "retriever":
        return contrastive_loss(model, QUERIES, texts, {"q1": {"d1": 1}, "q2": {"d2": 1}}, 0.05)
    return listwise_loss(model, QUERIES, texts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["full", "lora", "iaa_l"])
def test_a_saved_models_loss_is_that_before_saving_over_the_same_weights(
    tmp_path: Path, kind: str, variant: str
) -> None:
    model = tuned(kind, variant)
    saving.save(model, tmp_path / "model", BACKBONE, None)
    loaded = saving.load(KINDS[kind], tmp_path / "model")
    weights, vectors = trained_weights(loaded)
    counted = tuners.count(saving.transformer_of(model))
    assert sum(weight.numel() for weight in weights) == counted.trained + counted.head
    loss = loss_of(kind, loaded)
    with torch.no_grad():
        before = loss_of(kind, model)(BATCH).item()
        assert loss(BATCH).item() == pytest.approx(before, rel=1e-5)

    if variant != "full":  # its Hessian takes seconds
        sharpness = largest_eigenvalue(weights, lambda: loss(BATCH), iterations=3, seed=0)
        grid = surface(weights, vectors, lambda: loss(BATCH), span=0.5, points=3, seed=0)
        assert sharpness > 0
        assert grid[1, 1] == pytest.approx(before, rel=1e-5)
        assert len({round(value, 6) for value in grid.ravel()}) == 9
