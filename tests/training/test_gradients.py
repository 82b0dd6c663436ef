"""Which modules are trained, and how much gradient they get."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertModel

from peftir import tuners
from peftir.training.gradients import GradientNorms, trained_modules
from together import KNOBS

CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=16,
    num_labels=1,
)


@pytest.mark.parametrize("type", sorted(set(tuners.METHODS) - {"zero_shot"}))
@pytest.mark.parametrize("kind", [BertModel, BertForSequenceClassification])
def test_every_trained_weight_is_in_one_module(type: str, kind: type) -> None:
    model = kind(CONFIG)
    tuners.attach(model, type, **KNOBS.get(type, {"rank": 2}))
    modules = trained_modules({"": model})
    listed = [id(weight) for module in modules.values() for weight in module.weights]
    assert sorted(listed) == sorted(id(w) for w in model.parameters() if w.requires_grad)
    assert {0, 1} <= {module.layer for module in modules.values()}


def test_modules_are_named_by_place_with_their_layer() -> None:
    model = BertForSequenceClassification(CONFIG)
    tuners.attach(model, "iaa_m", rank=2, aside_rank=3)
    modules = trained_modules({"": model})
    assert [(name, module.layer) for name, module in modules.items()] == [
        ("bert.encoder.layer.0.attention.output.dropout.adapter", 0),
        ("bert.encoder.layer.0.output.dropout.adapter", 0),
        ("bert.encoder.layer.1.attention.output.dropout.adapter", 1),
        ("bert.encoder.layer.1.output.dropout.adapter", 1),
        ("bert.encoder.layer.1.stack_aside", 1),  # where its output is added
        ("bert.pooler", None),
        ("classifier", None),
    ]


def test_of_full_fine_tuning_the_layers_are_the_modules() -> None:
    model = BertModel(CONFIG)
    tuners.attach(model, "full")
    modules = trained_modules({"": model})
    assert [module.layer for module in modules.values() if module.layer is not None] == [0, 1]
    assert "embeddings.word_embeddings" in modules and "pooler.dense" in modules


def test_norms_are_means_over_the_steps_since_the_point_before() -> None:
    first, second, idle = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    norms = GradientNorms({"a": [first, second], "b": [idle]})
    for point in ([(3.0, 4.0), (6.0, 8.0)], [(0.0, 1.0)]):
        for one, other in point:
            first.grad, second.grad = torch.tensor([one, 0.0]), torch.tensor([0.0, other])
            norms.add()
        norms.end_point()
    assert norms.means == {"a": [pytest.approx(7.5), pytest.approx(1.0)], "b": [0.0, 0.0]}
    norms.end_point()  # step 0 has no gradient
    assert len(norms.means["a"]) == 2
