"""Several tuned tasks on one backbone in memory, switched by name."""

from __future__ import annotations

import pytest
import torch
from cases import CASES
from tiny import stir

from peftir.tuners import make_config


def add(model, case, seed):
    type, knobs = CASES[case]
    torch.manual_seed(seed)
    model.add_adapter(make_config(type, model, **knobs), adapter_name=case)
    stir((p for n, p in model.named_parameters() if case in n.split(".")), seed=seed)


@pytest.mark.parametrize("head", [False, True], ids=["bi", "cross"])
def test_every_method_on_one_backbone(make_bert, batch, head):
    alone = {}
    for seed, case in enumerate(CASES):
        model = make_bert(head)
        add(model, case, seed)
        alone[case] = model.eval()(**batch)[0]

    model = make_bert(head)
    plain = model(**batch)[0]
    for seed, case in enumerate(CASES):
        add(model, case, seed)
    model.eval()
    for case in [*CASES, *reversed(CASES)]:
        model.set_adapter(case)
        assert torch.equal(model(**batch)[0], alone[case]), case
    model.disable_adapters()
    assert torch.equal(model(**batch)[0], plain)
