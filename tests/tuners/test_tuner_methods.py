"""What every method must hold on BERT: what is trained, counts, and the exact figures of the papers."""

from __future__ import annotations

import pytest
import torch
from cases import ALL, CASES, OURS, PEFTS
from peft import get_peft_model
from reference import encode
from tiny import assert_close, stir, tuned
from transformers import BertConfig, BertForSequenceClassification, BertModel

from peftir.tuners import attach, count, make_config

LAYERS = ("encoder.layer.0", "encoder.layer.1")
BOTTLENECK = [f"tuned_{way}.default.{kind}" for way in ("down", "up") for kind in ("weight", "bias")]
BIASED = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
]
LINEAR = [place for place in BIASED if not place.endswith("LayerNorm")]


def each(places, weights):
    return {f"{place}.{weight}" for place in places for weight in weights}


def in_layers(*places):
    return [f"{layer}.{place}" for layer in LAYERS for place in places]


ADAPTERS = each(in_layers("attention.output.dropout.adapter", "output.dropout.adapter"), BOTTLENECK)
PREFIXES = each(in_layers("attention.self.prefix"), ["tuned_key.default", "tuned_value.default"])
PARALLEL = each(in_layers("output.dropout.parallel_adapter"), BOTTLENECK)
SUBLAYER_ASIDES = each(in_layers("attention.aside", "output.aside"), BOTTLENECK)
LAYER_ASIDES = each(in_layers("aside"), BOTTLENECK)
STACK_ASIDE = each(["encoder.layer.1.stack_aside"], BOTTLENECK)
QUERY_VALUE = in_layers("attention.self.query", "attention.self.value")

EXPECTED = {
    "zero_shot": set(),
    "bitfit": each(["embeddings.LayerNorm", *in_layers(*BIASED)], ["bias_change.tuned_bias.default"]),
    "prefix": PREFIXES,
    "adapter": ADAPTERS,
    "lora": each(QUERY_VALUE, [f"lora_{matrix}.default.weight" for matrix in "AB"]),
    "lora_everywhere": each(in_layers(*LINEAR), [f"lora_{matrix}.default.weight" for matrix in "AB"]),
    "peft": each(in_layers(*LINEAR), [f"hada_w{side}_{matrix}.default" for side in "12" for matrix in "ab"]),
    "ia3": each(in_layers("attention.self.key", "attention.self.value", "output.dense"), ["ia3_l.default"]),
    "mam": PREFIXES | PARALLEL,
    "iaa_s": ADAPTERS | SUBLAYER_ASIDES,
    "iaa_l": ADAPTERS | LAYER_ASIDES,
    "iaa_m": ADAPTERS | STACK_ASIDE,
    "iaa_s_alone": SUBLAYER_ASIDES,
    "iaa_l_alone": LAYER_ASIDES,
    "iaa_m_alone": STACK_ASIDE,
    "iaa_l_lora": LAYER_ASIDES
    | each(QUERY_VALUE, [f"low_rank.tuned_{way}.default.weight" for way in ("down", "up")]),
    "iaa_s_mam": PREFIXES | PARALLEL | SUBLAYER_ASIDES,
}
assert EXPECTED.keys() == ALL.keys() - {"full"}

PARTS = {
    "bitfit": {},
    "prefix": {},
    "adapter": {"adapters": True},
    "mam": {"parallel": 4.0},
    "iaa_s": {"adapters": True, "sublayer_asides": True},
    "iaa_l": {"adapters": True, "layer_asides": True},
    "iaa_m": {"adapters": True, "stack_aside": True},
    "iaa_s_alone": {"sublayer_asides": True},
    "iaa_l_alone": {"layer_asides": True},
    "iaa_m_alone": {"stack_aside": True},
    "iaa_l_lora": {"layer_asides": True},
    "iaa_s_mam": {"parallel": 2.0, "sublayer_asides": True},
}
assert PARTS.keys() == set(OURS)


def put(model, case):
    type, knobs = ALL[case]
    attach(model, type, **knobs)


def trainable(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("case", EXPECTED)
def test_trains_what_the_papers_say(make_bert, case):
    model = make_bert()
    put(model, case)
    assert trainable(model) == EXPECTED[case]


@pytest.mark.parametrize("case", EXPECTED)
def test_a_cross_encoder_trains_its_head_too(make_bert, case):
    model = make_bert(head=True)
    put(model, case)
    head = {f"classifier.modules_to_save.default.{kind}" for kind in ("weight", "bias")}
    expected = {f"bert.{name}" for name in EXPECTED[case]} | (head if case in CASES else set())
    if case == "bitfit":  # a cross-encoder uses the pooler, a bi-encoder does not
        expected.add("bert.pooler.dense.bias_change.tuned_bias.default")
    assert trainable(model) == expected


def test_full_trains_everything(make_bert):
    model = make_bert(head=True)
    put(model, "full")
    assert trainable(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("case", OURS)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_equals_the_papers_figure(make_bert, batch, case, training, attention):
    model = make_bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.set_attn_implementation(attention)
    put(model, case)
    stir(tuned(model), size=0.3)
    model.double()
    weights = {
        name: p.detach().clone().requires_grad_(p.requires_grad) for name, p in model.named_parameters()
    }
    real = batch["attention_mask"].bool()
    ours = model.train(training)(**batch).last_hidden_state[real]
    texts = batch["input_ids"], batch["attention_mask"]
    theirs = encode(weights, *texts, layers=2, heads=4, **PARTS[case])[real]
    assert_close(ours, theirs)

    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3))
    (ours * direction).sum().backward()
    (theirs * direction).sum().backward()
    largest = max(float(weights[name].grad.abs().max()) for name in trainable(model))
    for name in trainable(model):
        expected = weights[name].grad
        # A change of all keys alike changes no attention: the true gradient is zero, rounding apart.
        scale = largest if "key.bias" in name else float(expected.abs().max())
        torch.testing.assert_close(model.get_parameter(name).grad, expected, rtol=0, atol=1e-11 * scale)


def test_the_reference_without_parts_is_bert(make_bert, batch):
    model = make_bert().double()
    real = batch["attention_mask"].bool()
    ours = encode(
        dict(model.named_parameters()), batch["input_ids"], batch["attention_mask"], layers=2, heads=4
    )
    assert_close(model(**batch).last_hidden_state[real], ours[real])


def test_the_base_lora_is_pefts_lora(make_bert, batch):
    theirs, ours = make_bert(), make_bert()
    attach(theirs, "lora", rank=3)
    attach(ours, "iaa_l", base="lora", rank=3, aside_rank=2)
    stir(tuned(theirs))
    with torch.no_grad():
        for name in trainable(theirs):
            place, _, _ = name.rpartition(".lora_")
            way = "down" if ".lora_A." in name else "up"
            ours.get_parameter(f"{place}.low_rank.tuned_{way}.default.weight").copy_(
                theirs.get_parameter(name)
            )
    assert_close(ours.double()(**batch)[0], theirs.double()(**batch)[0])


def bert_base(head=False):
    """BERT-base without the weights themselves."""
    with torch.device("meta"):
        return (BertForSequenceClassification if head else BertModel)(BertConfig(num_labels=1))


@pytest.mark.parametrize(
    ("type", "knobs", "as_paper", "biases"),
    [
        ("adapter", {"rank": 16}, 589_824, 24 * (16 + 768)),
        ("lora", {"rank": 16}, 589_824, 0),
        ("prefix", {"length": 32}, 589_824, 0),
        ("mam", {"rank": 16, "length": 16}, 589_824, 12 * (16 + 768)),
        ("mam", {"rank": 16}, 589_824, 12 * (16 + 768)),
        ("iaa_s", {"rank": 8, "aside_rank": 8}, 589_824, 24 * 2 * (8 + 768)),
        ("iaa_l", {"rank": 12, "aside_rank": 12}, 663_552, 36 * (12 + 768)),
        ("iaa_m", {"rank": 15, "aside_rank": 24}, 589_824, 24 * (15 + 768) + 24 + 768),
        ("iaa_m", {"rank": 15}, 589_824, 24 * (15 + 768) + 24 + 768),
        # 3.6 % and 6.7 % of BERT-base, the paper's large settings
        ("prefix", {"length": 200}, 2 * 12 * 200 * 768, 0),
        ("mam", {"rank": 200, "length": 200}, 2 * 12 * 400 * 768, 12 * (200 + 768)),
        (
            "iaa_l",
            {"rank": 50, "aside_rank": 300},
            4 * 12 * 50 * 768 + 2 * 12 * 300 * 768,
            24 * 818 + 12 * 1068,
        ),
        ("iaa_l", {"base": "none", "aside_rank": 32}, 2 * 12 * 32 * 768, 12 * 800),
        ("iaa_m", {"base": "lora", "rank": 16, "aside_rank": 16}, 4 * 12 * 16 * 768 + 2 * 16 * 768, 784),
        ("ia3", {}, 12 * (2 * 768 + 3072), 0),
        # Embeddings, and 11·d in each of 12 layers; the 768 of the pooler are for cross-encoders.
        ("bitfit", {}, 768 + 12 * 11 * 768, 0),
    ],
)
def test_counts_of_the_paper_on_bert_base(type, knobs, as_paper, biases):
    model = bert_base()
    with torch.device("meta"):
        attach(model, type, **knobs)
    weights = count(model)
    assert weights.trained_as_paper == as_paper
    assert weights.trained == as_paper + biases
    assert (weights.head, weights.backbone) == (0, 109_482_240)
    assert weights.share == weights.trained / 109_482_240


def test_bitfit_of_a_cross_encoder_has_the_pooler_too():
    model = bert_base(head=True)
    with torch.device("meta"):
        attach(model, "bitfit")
    assert count(model).trained == 102_912


@pytest.mark.parametrize("case", ALL)
def test_head_and_backbone_are_counted_apart(make_bert, case):
    bare, model = make_bert(), make_bert(head=True)
    put(model, case)
    weights = count(model)
    assert weights.head == 32 + 1
    assert weights.backbone == sum(p.numel() for p in bare.parameters())
    assert weights.trained == {"full": weights.backbone, "zero_shot": 0}.get(case) or (
        sum(p.numel() for p in tuned(model)) - (weights.head if case in CASES else 0)
    )


@pytest.mark.parametrize("case", CASES)
def test_the_same_seed_gives_the_same_weights(make_bert, case):
    first, second = make_bert(), make_bert()
    for model in (first, second):
        torch.manual_seed(7)
        put(model, case)
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name))


@pytest.mark.parametrize("case", CASES)
def test_get_peft_model_takes_the_configuration(make_bert, batch, case):
    type, knobs = CASES[case]
    attached, model = make_bert(head=True), make_bert(head=True)
    torch.manual_seed(7)
    attach(attached, type, **knobs)
    torch.manual_seed(7)
    get_peft_model(model, make_config(type, model, **knobs))
    stir(tuned(attached))
    stir(tuned(model))
    assert trainable(model) == trainable(attached)
    assert torch.equal(model.eval()(**batch)[0], attached.eval()(**batch)[0])


@pytest.mark.parametrize("case", OURS)
def test_merging_is_refused_and_unloading_gives_the_backbone_back(make_bert, batch, case):
    type, knobs = CASES[case]
    plain, bare = make_bert(), make_bert()
    model = get_peft_model(bare, make_config(type, bare, **knobs))
    stir(tuned(model))
    with pytest.raises(ValueError, match="cannot be merged into the backbone, its modules are not a change"):
        model.merge_and_unload()
    unloaded = model.unload()
    assert {name for name, _ in unloaded.named_modules()} == {name for name, _ in plain.named_modules()}
    assert torch.equal(unloaded.eval()(**batch)[0], plain(**batch)[0])


@pytest.mark.parametrize("case", PEFTS)
def test_pefts_own_merge(make_bert, batch, case):
    type, knobs = CASES[case]
    bare = make_bert()
    model = get_peft_model(bare, make_config(type, bare, **knobs))
    stir(tuned(model))
    expected = model.double().eval()(**batch)[0]
    merged = model.merge_and_unload()
    assert {name for name, _ in merged.named_modules()} == {name for name, _ in make_bert().named_modules()}
    assert_close(merged(**batch)[0], expected)


def test_as_many_tokens_as_positions_and_a_prefix(make_bert):
    model = make_bert()
    attach(model, "prefix", length=9)
    ids = torch.arange(32)[None] % 30 + 5
    assert model.config.max_position_embeddings == ids.shape[1]
    weights = dict(model.double().named_parameters())
    expected = encode(weights, ids, torch.ones_like(ids), layers=2, heads=4)
    assert_close(model(input_ids=ids)[0], expected)


def test_a_pooler_that_no_checkpoint_had_belongs_to_the_head():
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_labels=1)
    )
    attach(model, "bitfit")
    head = {name for name in trainable(model) if "modules_to_save" in name}
    assert head == {
        f"{part}.modules_to_save.default.{kind}"
        for part, kind in [
            ("classifier", "weight"),
            ("classifier", "bias"),
            ("bert.pooler", "dense.weight"),
            ("bert.pooler", "dense.bias"),
        ]
    }
    assert not any("pooler" in name for name in trainable(model) - head)
    assert count(model).head == (8 + 1) + (8 * 8 + 8)
