"""The loss of saved models: which weights it is a function of, and that the analysis runs on real ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from lessons import example, loss_of, training_data
from peftir import tuners
from peftir.learning.objective import trained_weights
from peftir.learning.sharpness import largest_eigenvalue
from peftir.learning.surface import loss_surface
from peftir.models import saving
from peftir.training.batch_losses import RerankerLoss, RetrieverLoss
from tuned_models import BACKBONE, tuned

QUERIES = {"q1": "sort a list", "q2": "open a file"}
TEXTS = {"d1": "Return the items in order.", "d2": "Opens a path for reading.", "d3": "Adds two numbers."}
KINDS = {"retriever": SentenceTransformer, "reranker": CrossEncoder}


def loss_of_model(kind: str, model, folder: Path):
    """Its loss of the one batch."""
    data = training_data(folder / "collection", QUERIES, TEXTS, {"q1": {"d1": 1}, "q2": {"d2": 1}})
    batch = [example(data, "q1", "d1", "d3"), example(data, "q2", "d2", "d3")]
    loss = RetrieverLoss(model, data.sampler, 0.05) if kind == "retriever" else RerankerLoss(model)
    return partial(loss_of(data, [batch], loss), batch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["full", "lora", "iaa_l"])
def test_a_saved_models_loss_is_that_before_saving_over_the_same_weights(
    tmp_path: Path, kind: str, variant: str
) -> None:
    model = tuned(kind, variant)
    saving.save(model, tmp_path / "model", BACKBONE, None)
    loaded = saving.load(KINDS[kind], tmp_path / "model")
    for each in (model, loaded):
        each.double()  # what is equal hardly differs
    weights, vectors = trained_weights(loaded)
    counted = tuners.count(saving.transformer_of(model))
    assert sum(weight.numel() for weight in weights) == counted.trained + counted.head
    loss = loss_of_model(kind, loaded, tmp_path)
    with torch.no_grad():
        before = loss_of_model(kind, model, tmp_path)().item()
        assert loss().item() == pytest.approx(before, rel=1e-9)

    if variant != "full":  # its Hessian takes seconds
        sharpness = largest_eigenvalue(weights, loss, iterations=3, seed=0)
        grid = loss_surface(weights, vectors, loss, span=0.5, points=3, seed=0)
        assert sharpness > 0
        assert grid[1, 1] == pytest.approx(before, rel=1e-9)
        assert len({round(value, 6) for value in grid.ravel()}) == 9
