"""What every method must hold in every family, in bi-encoders and in cross-encoders."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from cases import ADMITTED, ALL, CASES, CONFIGS, FURTHER, NOT_ZERO, REFUSED
from tiny import FLOAT32_INSIDE, assert_close, stir, tiny_model, tuned
from transformers import DynamicCache

from peftir.tuners import FAMILIES, TunerError, attach
from training import assert_a_step_trains_its_own

assert CONFIGS.keys() | {config.model_type for config in FURTHER.values()} == FAMILIES.keys()

every_method = pytest.mark.parametrize(("family", "case"), ADMITTED)
both_stages = pytest.mark.parametrize("head", [False, True], ids=["bi", "cross"])


def models(family, case, head):
    """The bare model, and a tuned one that is still as it started."""
    type, knobs = ALL[case]
    plain, model = (tiny_model(CONFIGS[family], head) for _ in range(2))
    attach(model, type, **knobs)
    return plain, model.eval()


@every_method
@both_stages
def test_it_starts_as_the_backbone_and_goes_back_to_it(family, case, head, batch):
    plain, model = models(family, case, head)
    expected = plain(**batch)[0]
    if case not in NOT_ZERO:
        assert torch.equal(model(**batch)[0], expected)
    stir(tuned(model))
    assert not torch.allclose(model(**batch)[0], expected)
    model.disable_adapters()
    assert torch.equal(model(**batch)[0], expected)


@every_method
@both_stages
def test_a_step_changes_all_that_is_trained_and_nothing_else(family, case, head, batch):
    _, model = models(family, case, head)
    # A zero "up" lets no gradient through to "down" in the very first step.
    stir(tuned(model))
    assert_a_step_trains_its_own(model, batch, head)


FROM_THE_FIRST_COLUMN = ("bert", "electra", "distilbert")
"""Families that number the columns, padding or not, unless they are given positions."""

OF_THE_FIRST_COLUMN = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "deberta-v2")
"""Families whose heads read the first column, padding or not: they re-rank no such batch, tuned or not."""

LEFT = [
    (family, case, head)
    for family, case in ADMITTED
    for head in (False, True)
    if not (head and family in OF_THE_FIRST_COLUMN)
]


@pytest.mark.parametrize(("family", "case", "head"), LEFT)
def test_batch_mates_and_padding_on_the_left_change_nothing(family, case, head, batch):
    _, model = models(family, case, head)
    stir(tuned(model), size=0.5)
    model.double()  # what differs, differs by more than rounding
    ids, mask = batch["input_ids"], batch["attention_mask"]
    lengths = mask.sum(dim=1).tolist()
    padding = 1 if family == "mpnet" else 0  # MPNet knows no other
    left = {
        "input_ids": torch.full_like(ids, padding).masked_scatter(mask.flip(1).bool(), ids[mask.bool()]),
        "attention_mask": mask.flip(1),
    }
    if family in FROM_THE_FIRST_COLUMN:
        left["position_ids"] = (left["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    together = model(**left)[0]
    for text, length in enumerate(lengths):
        alone = model(input_ids=ids[text : text + 1, :length])[0][0]
        shared = together[text] if head else together[text, -length:]
        assert_close(alone, shared, family)


@every_method
@both_stages
def test_batch_mates_order_and_padding_change_nothing(family, case, head, batch):
    _, model = models(family, case, head)
    stir(tuned(model))
    model.double()
    ids, mask = batch["input_ids"], batch["attention_mask"]
    together = model(**batch)[0]
    turned = model(input_ids=ids.flip(0), attention_mask=mask.flip(0))[0].flip(0)
    assert_close(turned, together, family)
    for text in range(len(ids)):
        length = int(mask[text].sum())
        alone = model(input_ids=ids[text : text + 1, :length])[0][0]
        shared = together[text] if head else together[text, :length]
        assert_close(alone, shared, family)


@pytest.mark.parametrize(("family", "case"), sorted(REFUSED))
def test_what_a_family_does_not_admit_is_refused_with_the_reason(family, case):
    type, knobs = CASES[case]
    plain, model = (tiny_model(CONFIGS[family]) for _ in range(2))
    with pytest.raises(TunerError, match=REFUSED[family, case]) as error:
        attach(model, type, **knobs)
    assert "\n" not in str(error.value)
    # Nothing is left half done.
    assert [name for name, _ in model.named_modules()] == [name for name, _ in plain.named_modules()]
    attach(model, "adapter", rank=2)


PREFIXED = [family for family, case in ADMITTED if case == "prefix"]


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", PREFIXED)
def test_a_prefix_takes_its_share_of_the_attention(family, attention, padded, batch):
    # A key of zero scores zero, so l of them with values of zero turn the attention's o into o·Z / (Z + l),
    # where Z is the sum of the other exponents: 1/o grows in equal steps with l.
    # Hence o2·(2·o0 - o1) = o0·o1.
    given = batch if padded else {"input_ids": batch["input_ids"][:1]}
    real = batch["attention_mask"].bool() if padded else slice(None)
    layers = FAMILIES[family].layers
    output = {"distilbert": "out_lin", "modernbert": "Wo", "llama": "o_proj", "qwen3": "o_proj"}
    for index in range(CONFIGS[family].num_hidden_layers):
        o = []
        for length in (None, 1, 2):
            model = tiny_model(CONFIGS[family])
            model.set_attn_implementation(attention)
            layer = model.get_submodule(f"{layers}.{index}")
            place = layer.get_submodule(FAMILIES[family].attention)
            if length:
                attach(model, "prefix", length=length)
                model.disable_adapters()
                place.prefix.enable_adapters(True)
                for prefix in (place.prefix.tuned_key, place.prefix.tuned_value):
                    torch.nn.init.zeros_(prefix["default"])
            seen = []
            into = place.get_submodule(output[family]) if family in output else layer.attention.output.dense
            into.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0]))
            if family not in FLOAT32_INSIDE:  # whose eager softmax takes float64's mask for minus infinity
                model.double()
            model(**given)
            o.append(seen[0][real].double())
        assert (o[1].abs() < o[0].abs()).all()
        assert_close(o[2] * (2 * o[0] - o[1]), o[0] * o[1], family)


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_decoders_prefix_is_a_cache_that_no_position_was_spent_on(family, attention, padded, batch):
    plain, model = models(family, "prefix", head=False)
    stir(tuned(model), size=0.5)
    for each in (plain, model):
        each.double().set_attn_implementation(attention)
    given = batch if padded else {"input_ids": batch["input_ids"][:1]}
    mask = batch["attention_mask"] if padded else torch.ones(1, 7, dtype=torch.long)
    rows, tokens = given["input_ids"].shape
    cache = DynamicCache()
    for index, layer in enumerate(model.layers):
        prefix = layer.self_attn.prefix
        for_heads = [
            weights["default"].detach().view(-1, 2, 8).transpose(0, 1).expand(rows, -1, -1, -1)
            for weights in (prefix.tuned_key, prefix.tuned_value)
        ]
        cache.update(*for_heads, index)
    before = torch.ones(rows, cache.get_seq_length(), dtype=torch.long)
    expected = plain(
        input_ids=given["input_ids"],
        attention_mask=torch.cat([before, mask], dim=1),
        position_ids=torch.arange(tokens)[None],
        past_key_values=cache,
    )[0]
    real = mask.bool()
    assert_close(model(**given)[0][real], expected[real], family)


def test_a_prefix_asks_for_attention_that_takes_any_mask(batch):
    _, model = models("bert", "prefix", head=False)
    model.config._attn_implementation_internal = "flash_attention_2"
    attention = model.encoder.layer[0].attention.self
    with pytest.raises(TunerError, match=r"^attn_implementation: got 'flash_attention_2'.*'sdpa' or 'eager'"):
        attention(torch.zeros(1, 2, 32))


def test_threads_that_share_a_model_do_not_mix_their_texts(batch):
    _, model = models("modernbert", "iaa_s", head=False)
    stir(tuned(model))
    model.double()
    ids = [batch["input_ids"][:1, :length].repeat(40, 1) for length in (3, 5, 7)] * 10
    with torch.no_grad(), ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda each: model(input_ids=each)[0], ids))
    for each, result in zip(ids, together, strict=True):
        assert_close(result, model(input_ids=each)[0], "modernbert")


def test_a_copy_of_a_tuned_model_is_its_own(batch):
    _, model = models("bert", "iaa_s_mam", head=False)
    stir(tuned(model))
    expected = model(**batch)[0]
    copied = copy.deepcopy(model)
    stir(tuned(model))
    assert torch.equal(copied(**batch)[0], expected)


NORMS = {
    "distilbert": ("sa_layer_norm", "output_layer_norm"),
    "mpnet": ("attention.LayerNorm", "output.LayerNorm"),
    "modernbert": ("attn_norm", "mlp_norm"),
    "llama": ("input_layernorm", "post_attention_layernorm"),
    "qwen3": ("input_layernorm", "post_attention_layernorm"),
}


@pytest.mark.parametrize("family", CONFIGS)
def test_the_places_of_the_table_are_where_the_layer_adds_and_normalises(family, batch):
    model, places = tiny_model(CONFIGS[family]), FAMILIES[family]
    layer = model.get_submodule(places.layers)[1]
    into, out = {}, {}

    def record(name):
        def hook(module, args, kwargs, output):
            into[name] = args[0] if args else kwargs["hidden_states"]
            out[name] = output if isinstance(output, torch.Tensor) else output[0]

        return hook

    for name, module in layer.named_modules():
        module.register_forward_hook(record(name), with_kwargs=True)
    model(**batch)

    first, second = NORMS.get(family, ("attention.output.LayerNorm", "output.LayerNorm"))
    attention, (entry, feed_forward) = places.attention_output, places.feed_forward
    middle = into[places.feed_forward_sublayer[0]]
    assert torch.equal(into[places.attention_sublayer[0]], into[""])
    if family in ("modernbert", "llama", "qwen3"):  # x + Sub(Norm(x))
        assert torch.equal(out[places.attention_sublayer[1]], out[attention])
        assert torch.equal(middle, into[""] + out[attention])
        assert torch.equal(into[entry], out[second])
        assert torch.equal(out[places.feed_forward_sublayer[1]], out[feed_forward])
        assert torch.equal(out[""], middle + out[feed_forward])
    else:  # Norm(x + Sub(x))
        assert torch.equal(into[first], into[""] + out[attention])
        assert torch.equal(out[places.attention_sublayer[1]], out[first])
        assert torch.equal(middle, out[first])
        assert torch.equal(into[entry], middle)
        assert torch.equal(into[second], middle + out[feed_forward])
        assert torch.equal(out[places.feed_forward_sublayer[1]], out[second])
        assert torch.equal(out[""], out[second])
