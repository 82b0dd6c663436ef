"""``type: peft``: the fields of a configuration, and the sizes that a budget picks."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from peft import get_peft_model
from peft_cases import BATCH, bert
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedModel

from peftir.tuners import TunerError, attach, count, make_config, train_mode, validate
from peftir.tuners.peft_types import SIZES, VALUES_NEEDED

ALL_LINEAR = {"target_modules": "all-linear"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "config: missing, peft needs a block with peft_type"),
        ({"config": 3}, "config: got 3 (int), expected a block with peft_type"),
        ({"config": {}}, "config.peft_type: missing, expected one of LORA, ADALORA"),
        ({"config": {"peft_type": "LORAA"}}, "config.peft_type: got 'LORAA', expected one of LORA, ADALORA"),
        ({"config": {"peft_type": "LORA", "rr": 3}}, "config.rr: got 3, but peft LORA takes config.r, "),
        ({"config": {"peft_type": "LORA", "r": "x"}}, "config.r: got 'x' (str), expected int"),
        ({"config": {"peft_type": "LORA", "r": True}}, "config.r: got True (bool), expected int"),
        (
            {"config": {"peft_type": "LORA", "bias": "some"}},
            "config.bias: got 'some' (str), expected Literal",
        ),
        ({"config": {"peft_type": "DELORA", "r": 0}}, "config.r: got 0, which PEFT's DELORA refuses: "),
        ({"config": {"peft_type": "OFT", "r": 3, "oft_block_size": 4}}, "config.r: got 3, which PEFT's OFT"),
        ({"config": {"peft_type": "ADALORA"}}, "config.target_r: got 8 with init_r 12, expected the same"),
        (
            {"config": {"peft_type": "LORA", "megatron_core": "os"}},
            "config.megatron_core: got 'os', which imports a module that it names; leave it out",
        ),
        (
            {"config": {"peft_type": "LORA", "corda_config": {}}},
            "config.corda_config: got {}, which needs data",
        ),
        (
            {"config": {"peft_type": "LORA", "kasa_config": {}}},
            "config.kasa_config: got {}, which takes an obj",
        ),
        (
            {"config": {"peft_type": "LORA", "init_lora_weights": "eva"}},
            "config.init_lora_weights: got 'eva', which needs data",
        ),
        ({"config": {"peft_type": "LORA", "task_type": "SEQ_CLS"}}, "config.task_type: got 'SEQ_CLS', which"),
        (
            {"config": {"peft_type": "RANDLORA", "save_projection": True}},
            "config.save_projection: got True, which would save frozen projections",
        ),
        (
            {"config": {"peft_type": "LORA", "r": 3}, "budget": 0.1},
            "budget: got 0.1 together with config.r=3, expected one of the two",
        ),
        ({"config": {"peft_type": "LN_TUNING"}, "budget": 0.1}, "budget: got 0.1, but no field of LN_TUNING"),
        ({"config": {"peft_type": "LORA"}, "size": "r"}, "size: got 'r' without a budget"),
        ({"config": {"peft_type": "LORA"}, "size": "q", "budget": 0.1}, "size: got 'q', expected a field of"),
        ({"rank": 3, "config": {"peft_type": "LORA"}}, "rank: got 3, but peft takes config, size"),
    ],
)
def test_a_mistake_is_told_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TunerError, match=f"^{re.escape(message)}") as error:
        validate("peft", **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["LORA", "C3A"])
def test_what_only_the_encoder_can_tell_leaves_it_as_it_was(kind: str) -> None:
    model = bert(False)
    names = [name for name, _ in model.named_modules()]
    wrong = {"LORA": {"target_modules": ["nothing"]}, "C3A": {"block_size": 7}}[kind]
    with pytest.raises(
        TunerError, match=rf"^config\.{next(iter(wrong))}: got .* which PEFT's {kind} refuses"
    ):
        attach(model, "peft", config={"peft_type": kind, **wrong})
    assert [name for name, _ in model.named_modules()] == names


def small() -> PreTrainedModel:
    """An encoder without weights whose sides have many divisors."""
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    with torch.device("meta"):
        return BertModel(BertConfig(vocab_size=200, **sizes))


def trains(kind: str, field: str, value: int) -> int:
    """What PEFT counts with a field at a value; AdaLoRA's two ranks go together."""
    fields = {"init_r": value, "target_r": value} if kind == "ADALORA" else {field: value}
    config = make_config("peft", small(), config={"peft_type": kind, **EXTRA.get(kind, {}), **fields})
    with torch.device("cpu" if kind in VALUES_NEEDED else "meta"):
        model = type(small())(small().config)
        return get_peft_model(model, config).get_nb_trainable_parameters()[0]


EXTRA: dict[str, dict[str, Any]] = {"VBLORA": {"vector_length": 8}}
GROWS_WITH_SMALLER = ("C3A", "RANDLORA")
BUDGET = 0.05


@pytest.mark.parametrize("kind", SIZES)
def test_a_budget_is_met_from_below_within_one_step_of_the_size(kind: str) -> None:
    field, weights = SIZES[kind].field, count(small()).backbone
    config = make_config("peft", small(), budget=BUDGET, config={"peft_type": kind, **EXTRA.get(kind, {})})
    size = getattr(config, field)
    assert trains(kind, field, size) <= BUDGET * weights
    if SIZES[kind].kind == "divisor":
        others = [value for value in range(2, 49) if 48 % value == 0]
        step = -1 if kind in GROWS_WITH_SMALLER else 1
        larger = others[others.index(size) + step] if 0 <= others.index(size) + step < len(others) else None
    else:
        larger = size + (2 if kind in ("GRALORA", "HRA") else 1)
    if kind != "LOKR" and larger is not None:  # LoKr's factors have a largest size
        assert trains(kind, field, larger) > BUDGET * weights


def test_the_user_names_the_size() -> None:
    # 4 · r · d in each of 2 layers, as LoRA's own.
    config = make_config(
        "peft", small(), budget=BUDGET, size="hybrid_r", config={"peft_type": "GRALORA", "r": 2}
    )
    of_hybrid = trains("GRALORA", "hybrid_r", 2) - trains("GRALORA", "hybrid_r", 0)
    assert config.hybrid_r >= 1
    assert of_hybrid > 0
    with pytest.raises(
        TunerError, match=r"^size: got 'stride_A', but stride_A 2 trains .*larger values train"
    ):
        make_config("peft", small(), budget=BUDGET, size="stride_A", config={"peft_type": "LILY"})


def test_attach_gives_the_fields_in_effect() -> None:
    given = {"peft_type": "LORA", "use_dora": True, **ALL_LINEAR}
    settled = attach(bert(True), "peft", budget=0.1, config=given)
    assert settled == {
        "config.peft_type": "LORA",
        "config.use_dora": True,
        "config.target_modules": "all-linear",
        "config.r": 1,
    }


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("use_dora", [False, True])
def test_all_linear_lora_and_dora_count_what_peft_counts(head: bool, use_dora: bool) -> None:
    # A layer has 4 matrices of 32 × 32 and 2 of 32 × 48; DoRA adds one for each output.
    by_hand = 2 * (3 * (4 * 64 + 2 * 80) + use_dora * (4 * 32 + 48 + 32))
    for type, knobs in (
        ("lora", {"rank": 3, **ALL_LINEAR, "use_dora": use_dora}),
        ("peft", {"config": {"peft_type": "LORA", "r": 3, **ALL_LINEAR, "use_dora": use_dora}}),
    ):
        model, plain = bert(head), bert(head)
        attach(model, type, **knobs)
        weights = count(model)
        assert weights.trained == by_hand
        peft_model = get_peft_model(plain, make_config(type, plain, **knobs))
        assert peft_model.get_nb_trainable_parameters()[0] == weights.trained + weights.head


def test_lora_on_named_layers() -> None:
    knobs = {"target_modules": ["key", "output.dense"], "use_rslora": True, "alpha": 8.0}
    config = make_config("lora", small(), budget=0.02, **knobs)
    # 2 · (48 + 48) for key and attention.output.dense, 96 + 48 for the feed-forward's, in each of 2 layers
    assert config.r == int(0.02 * count(small()).backbone) // (2 * (2 * 96 + 144))
    assert (config.use_rslora, config.lora_alpha, config.lora_dropout) == (True, 8.0, 0.0)
    with pytest.raises(TunerError, match=r"^target_modules: got 'kye', expected all-linear or .*self\.key"):
        make_config("lora", small(), rank=3, target_modules=["key", "kye"])


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"dropout": 1.0}, "dropout: got 1.0, expected a number of at least 0 and below 1"),
        ({"use_dora": 1}, "use_dora: got 1 (int), expected true or false"),
        ({"init_lora_weights": "eva"}, "init_lora_weights: got 'eva' (str), expected one of gaussian, orth"),
        ({"target_modules": "query"}, "target_modules: got 'query' (str), expected all-linear or a list of"),
    ],
)
def test_a_wrong_option_of_lora_is_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(TunerError, match=f"^{re.escape(message)}"):
        validate("lora", rank=3, **knobs)


def test_lora_inside_iaa_has_rank_and_alpha_alone() -> None:
    with pytest.raises(TunerError, match=r"^use_dora: got True, but iaa_l takes budget, rank, alpha, "):
        validate("iaa_l", base="lora", rank=3, use_dora=True)


@pytest.mark.parametrize("init", ["gaussian", "orthogonal", "olora", "pissa"])
def test_lora_starts_as_the_backbone_however_it_is_initialized(init: str) -> None:
    plain, model = bert(False), bert(False)
    attach(model, "lora", rank=4, init_lora_weights=init)
    # What LoRA starts with is taken out of the weights in float32, to 6e-8 of each; the rest is in float64.
    expected, found = (each.eval().double()(**BATCH)[0] for each in (plain, model))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("backbone", [False, True])
def test_the_methods_dropout_is_active_in_training_whatever_the_backbones(backbone: bool) -> None:
    model = bert(False)
    attach(model, "lora", rank=4, dropout=0.5)
    nn.init.ones_(model.encoder.layer[1].attention.self.query.lora_B["default"].weight)
    train_mode(model, backbone=backbone)
    assert model.encoder.layer[0].output.dropout.training == backbone
    assert model.encoder.layer[1].attention.self.query.lora_dropout["default"].training
    assert not torch.equal(model(**BATCH)[0], model(**BATCH)[0])
    model.eval()
    assert torch.equal(model(**BATCH)[0], model(**BATCH)[0])
