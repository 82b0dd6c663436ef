"""Knobs and budgets: what is picked, and what a person who errs is told."""

from __future__ import annotations

import re

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model

from peftir.tuners import IaaLConfig, TunerError, attach, count, make_config, validate


def minilm():
    """The shape of MiniLM-L6: 22,713,216 weights, without the weights themselves."""
    with torch.device("meta"):
        return BertModel(
            BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
        )


BUDGETED = [
    ("prefix", {}, "length"),
    ("adapter", {}, "rank"),
    ("lora", {}, "rank"),
    ("mam", {"length_ratio": 0.5}, "rank"),
    ("iaa_s", {}, "rank"),
    ("iaa_l", {"aside_ratio": 6}, "rank"),
    ("iaa_m", {}, "rank"),
    ("iaa_l", {"base": "none"}, "aside_rank"),
    ("iaa_l", {"base": "lora"}, "rank"),
    ("iaa_m", {"base": "mam"}, "rank"),
]


@pytest.mark.parametrize(("type", "knobs", "size"), BUDGETED)
@pytest.mark.parametrize("budget", [0.005, 0.067])
def test_a_budget_picks_the_largest_size_within_it(type, knobs, size, budget):
    def share(**size):
        with torch.device("meta"):
            model = minilm()
            settled = attach(model, type, **knobs, **size)
        return count(model).share, settled

    shared, settled = share(budget=budget)
    assert share(**{size: settled[size]})[0] == shared
    assert shared <= budget < share(**{size: settled[size] + 1})[0]


def test_a_budget_worked_out_by_hand():
    # 0.005 × 22,713,216 = 113,566. Per rank LoRA trains 4·6·384 = 9,216; an adapter module 2·384·r + r + 384.
    model = minilm()
    assert make_config("lora", model, budget=0.005).r == 12
    assert make_config("adapter", model, budget=0.005).rank == 11
    iaa = make_config("iaa_l", model, budget=0.005, aside_ratio=0.5)
    assert (iaa.rank, iaa.aside_rank) == (9, 4)
    # A prefix has 2·6·384 = 4,608 per unit of length, MAM's adapters 4,608·r + 6·(r + 384).
    assert make_config("prefix", model, budget=0.005).length == 24
    mam = make_config("mam", model, budget=0.005, length_ratio=2)
    assert (mam.rank, mam.length) == (8, 16)


def test_the_aside_rank_follows_from_the_ratio():
    config = make_config("iaa_l", minilm(), rank=50, aside_ratio=6)
    assert (config.rank, config.aside_rank) == (50, 300)
    assert make_config("iaa_l", minilm(), rank=12).aside_rank == 12


def test_the_prefix_length_follows_from_the_ratio():
    config = make_config("mam", minilm(), rank=6, length_ratio=0.5)
    assert (config.rank, config.length, config.scale) == (6, 3, 4.0)
    config = make_config("iaa_l", minilm(), base="mam", rank=6, length=2, scale=1, aside_rank=3)
    assert (config.rank, config.length, config.scale, config.aside_rank) == (6, 2, 1.0, 3)


def test_attach_gives_the_knobs_in_effect():
    with torch.device("meta"):
        assert attach(minilm(), "lora", budget=0.005) == {"rank": 12}
        given = {"base": "lora", "rank": 3, "aside_ratio": 2}
        assert attach(minilm(), "iaa_m", **given) == given
        assert attach(minilm(), "bitfit") == attach(minilm(), "full") == {}


def test_lora_scales_by_two_unless_told():
    assert make_config("lora", minilm(), rank=8).lora_alpha == 16
    assert make_config("lora", minilm(), rank=8, alpha=8).lora_alpha == 8


def test_a_budget_too_small_says_which_is_enough():
    with pytest.raises(TunerError, match=r"^budget: got 1e-06, too small for iaa_l") as error:
        make_config("iaa_l", minilm(), budget=1e-6)
    enough = float(re.search(r"works is ([\d.e-]+)$", str(error.value)).group(1))
    config = make_config("iaa_l", minilm(), budget=enough)
    assert (config.rank, config.aside_rank) == (1, 1)


@pytest.mark.parametrize(
    ("type", "given", "message"),
    [
        ("adaptor", {"rank": 8}, "type: got 'adaptor', expected one of"),
        ("adapter", {}, "rank: missing, adapter needs either rank or budget"),
        (
            "adapter",
            {"rank": 8, "budget": 0.1},
            "budget: got 0.1 together with rank=8, expected one of the two",
        ),
        ("adapter", {"rank": 0}, "rank: got 0, expected a whole number of at least 1"),
        ("adapter", {"rank": 8.0}, "rank: got 8.0 (float), expected a whole number"),
        ("adapter", {"rank": "8"}, "rank: got '8' (str), expected a whole number"),
        ("adapter", {"rank": True}, "rank: got True (bool), expected a whole number"),
        ("adapter", {"length": 8}, "length: got 8, but adapter takes budget, rank"),
        ("adapter", {"budget": "0.005"}, "budget: got '0.005' (str), expected a number between 0 and 1"),
        ("adapter", {"budget": 0}, "budget: got 0, expected a number between 0 and 1"),
        ("adapter", {"budget": 1.0}, "budget: got 1.0, expected a number between 0 and 1"),
        ("adapter", {"budget": float("nan")}, "budget: got nan, expected a number between 0 and 1"),
        ("iaa_l", {"budget": 0.1, "aside_rank": 3}, "budget: got 0.1 together with aside_rank=3"),
        (
            "iaa_l",
            {"rank": 3, "aside_rank": 3, "aside_ratio": 1.0},
            "aside_ratio: got 1.0 together with aside_rank=3",
        ),
        ("iaa_l", {"rank": 3, "aside_ratio": 0}, "aside_ratio: got 0, expected a number above 0"),
        ("prefix", {}, "length: missing, prefix needs either length or budget"),
        ("prefix", {"rank": 4}, "rank: got 4, but prefix takes budget, length"),
        ("prefix", {"length": 4, "budget": 0.1}, "budget: got 0.1 together with length=4"),
        ("mam", {"rank": 4, "length": 4, "length_ratio": 1}, "length_ratio: got 1 together with length=4"),
        ("mam", {"budget": 0.1, "length": 4}, "budget: got 0.1 together with length=4"),
        ("mam", {"rank": 4, "scale": 0}, "scale: got 0, expected a number above 0"),
        ("bitfit", {"budget": 0.1}, "budget: got 0.1, but bitfit takes no knobs"),
        ("adapter", {"rank": 4, "base": "lora"}, "base: got 'lora', but adapter takes budget, rank"),
        (
            "iaa_l",
            {"rank": 4, "base": "lore"},
            "base: got 'lore', expected one of adapter, lora, mam, peft, none",
        ),
        (
            "iaa_l",
            {"rank": 4, "base": None},
            "base: got None, expected one of adapter, lora, mam, peft, none",
        ),
        ("iaa_l", {"rank": 4, "base": "none"}, "rank: got 4, but iaa_l takes budget, aside_rank"),
        ("iaa_l", {"base": "none"}, "aside_rank: missing, iaa_l needs either aside_rank or budget"),
        (
            "iaa_l",
            {"rank": 4, "alpha": 8},
            "alpha: got 8, but iaa_l takes budget, rank, aside_rank, aside_ratio",
        ),
        ("full", {"budget": 0.1}, "budget: got 0.1, but full takes no knobs"),
        ("zero_shot", {"rank": 1}, "rank: got 1, but zero_shot takes no knobs"),
    ],
)
def test_a_mistake_gets_one_line_that_names_the_key(type, given, message):
    with pytest.raises(TunerError) as error:
        validate(type, **given)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("type", "given"),
    [
        ("full", {}),
        ("iaa_s", {"base": "mam", "budget": 0.1, "length_ratio": 2}),
        ("lora", {"rank": 8, "alpha": 16}),
        ("iaa_l", {"budget": 0.005, "aside_ratio": 2}),
    ],
)
def test_what_is_right_passes(type, given):
    validate(type, **given)


def test_an_unknown_family_says_where_to_add_it():
    gpt2 = GPT2Model(GPT2Config(vocab_size=9, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(TunerError, match=r"family 'gpt2' is unknown.*FAMILIES in peftir/tuners/families.py"):
        attach(gpt2, "adapter", rank=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "lore"}, "base: got 'lore', expected one of adapter, lora, mam, peft, none"),
        ({"base": "mam", "rank": 3}, "length: missing, base mam needs it"),
        ({"rank": 0}, "rank: got 0, expected a whole number of at least 1"),
    ],
)
def test_a_configuration_made_by_hand_is_checked(fields, message):
    with pytest.raises(TunerError) as error:
        IaaLConfig(**fields)
    assert str(error.value) == message


def test_a_method_without_modules_has_no_configuration():
    with pytest.raises(TunerError, match="type: got 'full', which adds no modules"):
        make_config("full", minilm())
