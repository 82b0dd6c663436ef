"""The ends and the padding of texts, bidirectional attention and the formats of frozen weights."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny import stir

from family_backbones import DECODERS, TEXTS, write_backbone
from peftir.models import saving
from peftir.models.biencoder import encode, new_biencoder
from peftir.models.crossencoder import new_crossencoder, score
from peftir.models.ending import append_eos, appended_token
from peftir.models.loading import Loading
from peftir.models.precision import computing_in
from peftir.study.params import MethodParams
from peftir.system.errors import PeftirError
from peftir.tuners import FAMILIES

LENGTH = 9
PAIRS = [(TEXTS[0], text) for text in TEXTS]
ROUNDING = 1e-5
"""These families compute norms and rotary embeddings in float32."""

RATES = {"retriever": 1e-3, "reranker": 1e-3}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("decoders")
    return {family: write_backbone(root / family, family) for family in (*DECODERS, "bert")}


def retriever(
    backbone: Path, pooling: str = "last", tune: Any = "both", **loading: Any
) -> SentenceTransformer:
    torch.manual_seed(0)
    return new_biencoder(
        str(backbone),
        pooling=pooling,
        similarity="dot",
        query_length=LENGTH,
        document_length=LENGTH,
        tune=tune,
        loading=Loading(**loading),
    ).eval()


def reranker(backbone: Path, **loading: Any) -> Any:
    torch.manual_seed(0)
    return new_crossencoder(str(backbone), length=LENGTH, loading=Loading(**loading)).eval()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("family", DECODERS)
def test_the_appended_token_is_pooled_whichever_side_is_padded(
    backbones: dict[str, Path], family: str, bidirectional: bool
) -> None:
    if bidirectional and family == "embedding_gemma":
        pytest.skip("is bidirectional as it is")
    model = retriever(backbones[family], append_eos=True, bidirectional=bidirectional)
    assert model.tokenizer.padding_side == "left"  # as in the backbone's tokenizer_config.json
    end = model.tokenizer.eos_token_id
    alone = []
    for text in TEXTS:
        ids = model.tokenizer(text, truncation=True, max_length=LENGTH)["input_ids"]
        assert ids[-1] == end and ids.count(end) == 1
        with torch.no_grad():
            alone.append(model[0].model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1].numpy())
    assert len(model.tokenizer(TEXTS[-1])["input_ids"]) > LENGTH  # the longest was cut before its end
    cross = reranker(backbones[family], append_eos=True, bidirectional=bidirectional)
    scores = [score(cross, [pair], "float32")[0] for pair in PAIRS]
    for side in ("left", "right"):
        model.tokenizer.padding_side = cross.tokenizer.padding_side = side
        together = encode(model, TEXTS, "document", "float32")
        assert np.abs(together - alone).max() <= ROUNDING * max(1, np.abs(alone).max())
        assert np.abs(score(cross, PAIRS, "float32") - scores).max() <= ROUNDING
    pair = cross.tokenizer(*PAIRS[-1], truncation="longest_first", max_length=LENGTH)["input_ids"]
    assert pair[-1] == end != cross.tokenizer.pad_token_id == cross[0].model.config.pad_token_id
    with torch.no_grad():
        hidden = cross[0].model.base_model(input_ids=torch.tensor([pair])).last_hidden_state[0, -1]
        for name in FAMILIES[cross[0].model.config.model_type].head:
            hidden = getattr(cross[0].model, name)(hidden)
    assert abs(float(hidden) - scores[-1]) <= ROUNDING


def test_a_tokenizer_that_appends_a_token_is_left_as_it_is(backbones: dict[str, Path]) -> None:
    tokenizer = retriever(backbones["bert"], "mean", append_eos=True).tokenizer
    ids = tokenizer(TEXTS[0])["input_ids"]
    assert ids[-1] == appended_token(tokenizer) == tokenizer.convert_tokens_to_ids("[SEP]")
    assert ids.count(ids[-1]) == 1
    decoder = retriever(backbones["qwen3"], append_eos=True).tokenizer
    once = decoder(TEXTS[0])["input_ids"]
    append_eos(decoder)
    assert decoder(TEXTS[0])["input_ids"] == once


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_bidirectional_attention_is_that_of_transformers_without_a_window(
    backbones: dict[str, Path], attention: Any
) -> None:
    ids = torch.tensor([[7, 9, 11, 8], [6, 5, 10, 12]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]])
    model = retriever(backbones["llama"], bidirectional=True, attn_implementation=attention)[0].model
    plain = retriever(backbones["llama"], attn_implementation=attention)[0].model
    assert not torch.equal(model(ids)[0], plain(ids)[0])
    plain.config.is_causal = False
    assert torch.equal(model(ids)[0], plain(ids)[0])
    real = mask.bool()
    assert torch.equal(model(ids, attention_mask=mask)[0][real], plain(ids, attention_mask=mask)[0][real])


def test_a_window_reaches_to_both_sides(backbones: dict[str, Path]) -> None:
    # Phi-3's windows of 4 tokens: in one layer a token sees those at a distance of up to 3.
    model = retriever(backbones["phi3"], bidirectional=True)[0].model
    layer = model.layers[0]
    seen = []
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    ids = torch.tensor([[7, 9, 11, 8, 6, 5, 10, 12, 7, 9]])
    other = ids.clone()
    other[0, 5] = 13
    with torch.no_grad():
        model(ids)
        model(other)
    changed = (seen[0] != seen[1]).any(dim=-1)[0]
    assert changed.nonzero().flatten().tolist() == [2, 3, 4, 5, 6, 7, 8]


IN_A_FRESH_PROCESS = """
import json, sys
from sentence_transformers import SentenceTransformer, CrossEncoder
import peftir.tuners
asked = json.load(sys.stdin)
if asked["ours"]:
    from peftir.models import saving
    from peftir.models.biencoder import encode
    from peftir.models.crossencoder import score
    from pathlib import Path
out = {}
for name, folder in asked["folders"].items():
    kind = CrossEncoder if "reranker" in name else SentenceTransformer
    precision = "bfloat16" if name.endswith("bfloat16") else "float32"
    if asked["ours"]:
        model = saving.load(kind, Path(folder))
        found = ([score(model, list(map(tuple, asked["pairs"])), precision)] if kind is CrossEncoder
            else [encode(model, asked["texts"], side, precision) for side in ("query", "document")])
    else:
        model = kind(folder)
        found = ([model.predict(asked["pairs"])] if kind is CrossEncoder
            else [model.encode_query(asked["texts"]), model.encode_document(asked["texts"])])
    out[name] = [each.tolist() for each in found]
print(json.dumps(out))
"""


def in_a_fresh_process(folders: dict[str, str], ours: bool) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        input=json.dumps({"folders": folders, "texts": TEXTS, "pairs": PAIRS, "ours": ours}),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    scores: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return scores


def trained(
    backbone: Path, stage: str, type: str, knobs: dict[str, Any], tune: str = "both", **loading: Any
) -> Any:
    """A model after one optimizer step."""
    model = (
        retriever(backbone, tune=tune, **loading) if stage == "retriever" else reranker(backbone, **loading)
    )
    saving.attach(model, type, MethodParams(type=type, learning_rate=RATES, **knobs))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    assert {weight.dtype for weight in weights} == {torch.float32}
    stir(weights, size=0.2)
    before = [weight.detach().clone() for weight in weights]
    with computing_in(model, loading.get("precision", "float32")):
        if stage == "retriever":
            inputs = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
            results = [model(dict(inputs), task=side)["sentence_embedding"] for side in ("query", "document")]
        else:
            inputs = model.tokenizer(PAIRS, padding=True, return_tensors="pt")
            results = [model(dict(inputs))["scores"]]
    assert {result.dtype for result in results} == {torch.float32}
    optimizer = torch.optim.SGD(weights, lr=0.01)
    sum(result.square().sum() for result in results).backward()
    optimizer.step()
    assert all(not torch.equal(now, was) for now, was in zip(weights, before, strict=True))
    return model.eval()


METHODS: list[tuple[str, dict[str, Any]]] = [("lora", {"rank": 3}), ("iaa_s", {"rank": 3})]
IN_FLOAT32 = (("retriever", "both", "float32"), ("reranker", "both", "float32"))
FORMAT_CASES = (
    *IN_FLOAT32,
    ("retriever", "query", "float32"),
    ("retriever", "separate", "bfloat16"),
    ("reranker", "both", "bfloat16"),
)
"""The stage, the sides that are tuned and the precision."""


def saved(
    root: Path,
    backbones: dict[str, Path],
    stages: tuple[tuple[str, str, str], ...] = IN_FLOAT32,
    **loading: Any,
) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Folders of trained models, and the scores before they were saved.

    ``stages`` are stage, sides that are tuned, and precision; the methods take turns.
    """
    folders, scores = {}, {}
    cases = product(stages, backbones.items())
    for number, ((stage, tune, precision), (family, backbone)) in enumerate(cases):
        type, knobs = METHODS[number // 2 % 2]
        model = trained(backbone, stage, type, knobs, tune, append_eos=True, precision=precision, **loading)
        name = f"{family}-{type}-{stage}-{tune}-{precision}"
        found = (
            [encode(model, TEXTS, side, precision) for side in ("query", "document")]
            if stage == "retriever"
            else [score(model, PAIRS, precision)]
        )
        scores[name] = [each.tolist() for each in found]
        saving.save(model, root / name, str(backbone))
        folders[name] = str(root / name)
    return folders, scores


def weights_section(folder: str) -> dict[str, Any]:
    section: dict[str, Any] = json.loads((Path(folder) / "manifest.json").read_text())["weights"]
    return section


def test_a_bidirectional_decoder_is_one_again_wherever_it_is_loaded(
    backbones: dict[str, Path], tmp_path: Path
) -> None:
    few = {family: backbones[family] for family in ("qwen3", "gemma2")}
    folders, scores = saved(tmp_path, few, bidirectional=True)
    loaded = in_a_fresh_process(folders, ours=False)
    for name, expected in scores.items():
        # In batches of other texts.
        assert np.abs(np.array(loaded[name]) - expected).max() <= ROUNDING * max(1, np.abs(expected).max())
        attention = "peftir_bidirectional_" + ("eager" if "gemma2" in name else "sdpa")
        assert weights_section(folders[name]) == {"dtype": "float32", "attention": attention}
        tokens = json.loads((Path(folders[name]) / "manifest.json").read_text())["tokens"]
        assert (tokens["appended_token"], tokens["padding_side"]) == ("[SEP]", "left")


def test_frozen_weights_in_bfloat16_take_trained_ones_in_float32(
    backbones: dict[str, Path], tmp_path: Path
) -> None:
    few = {family: backbones[family] for family in ("bert", "qwen3")}
    folders, scores = saved(tmp_path, few, FORMAT_CASES, weights="bfloat16")
    assert in_a_fresh_process(folders, ours=True) == scores
    assert {weights_section(folder)["dtype"] for folder in folders.values()} == {"bfloat16"}


def wide(folder: Path, family: str) -> Path:
    """A backbone whose layers are as wide as bitsandbytes' blocks."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, **({"head_dim": 16} if family == "qwen3" else {})}
    return write_backbone(folder, family, **sizes)


needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None,
    reason="needs bitsandbytes, the extra quantized",
)


@needs_bitsandbytes
def test_a_4_bit_backbone_trains_and_gives_identical_scores_in_a_fresh_process(tmp_path: Path) -> None:
    few = {family: wide(tmp_path / family, family) for family in ("bert", "qwen3")}
    folders, scores = saved(tmp_path, few, FORMAT_CASES, weights="nf4")
    assert in_a_fresh_process(folders, ours=True) == scores
    for name, folder in folders.items():
        section = weights_section(folder)
        assert (section["dtype"], section["products"]) == ("nf4", name.rpartition("-")[2])


@needs_bitsandbytes
def test_an_untrained_4_bit_retriever_is_saved_whole(tmp_path: Path) -> None:
    backbone = wide(tmp_path / "qwen3", "qwen3")
    model = retriever(backbone, weights="nf4")
    saving.attach(model, "zero_shot", MethodParams(type="zero_shot"))
    before = encode(model, TEXTS, "document", "float32")
    saving.save(model, tmp_path / "model", str(backbone))
    loaded = saving.load(SentenceTransformer, tmp_path / "model")
    for each in (model, loaded):
        assert np.array_equal(encode(each, TEXTS, "document", "float32"), before)


@needs_bitsandbytes
def test_evaluation_leaves_4_bit_weights_as_training_had_them(tmp_path: Path) -> None:
    backbone = wide(tmp_path / "bert", "bert")
    models = [retriever(backbone, "mean", weights="nf4") for _ in range(2)]
    encode(models[0], TEXTS, "document", "float32")
    found = []
    for model in models:
        ids = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
        inputs = model[0].model.get_input_embeddings()(ids["input_ids"]).detach().requires_grad_()
        found.append(model[0].model(inputs_embeds=inputs)[0])
    assert torch.equal(*found)


@needs_bitsandbytes
def test_a_budget_counts_the_weights_that_are_packed(tmp_path: Path) -> None:
    backbone = wide(tmp_path / "qwen3", "qwen3")
    counts = []
    for weights in ("float32", "nf4"):
        model = retriever(backbone, weights=weights)
        knobs = saving.attach(model, "lora", MethodParams(type="lora", budget=0.05, learning_rate=RATES))
        counts.append((knobs["rank"], saving.tuners.count(saving.transformer_of(model))))
    assert counts[0] == counts[1]


@needs_bitsandbytes
def test_what_4_bit_weights_do_not_admit_is_one_line(backbones: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match=r"has 32 inputs, but 4-bit weights come in blocks") as narrow:
        retriever(backbones["qwen3"], weights="nf4")
    model = retriever(wide(tmp_path / "qwen3", "qwen3"), weights="nf4")
    loha = MethodParams(
        type="peft", config={"peft_type": "LOHA", "target_modules": "all-linear", "r": 3}, learning_rate=RATES
    )
    with pytest.raises(PeftirError, match=r"methods\.mine\.type: got 'peft', whose Linear") as type:
        saving.attach(model, "mine", loha)
    assert "\n" not in f"{narrow.value}{type.value}"


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_without_bitsandbytes_4_bits_are_refused(backbones: dict[str, Path]) -> None:
    with pytest.raises(PeftirError, match=r"^backbone.weights: 'nf4': the package bitsandbytes is"):
        retriever(backbones["qwen3"], weights="nf4")


@pytest.mark.parametrize(
    ("family", "loading", "message"),
    [
        ("bert", {"bidirectional": True}, r"^backbone.bidirectional: true: the attention of this bert is"),
        (
            "embedding_gemma",
            {"bidirectional": True},
            r"^backbone.bidirectional: true: .* gemma3_text is bidir",
        ),
        (
            "gemma2",
            {"attn_implementation": "sdpa"},
            r"^backbone.attn_implementation: 'sdpa': gemma2 does not",
        ),
        (
            "qwen3",
            {"bidirectional": True, "attn_implementation": "flash_attention_2"},
            r"^backbone.attn_implementation: 'flash_attention_2' with backbone.bidirectional: true; expected",
        ),
    ],
)
def test_settings_that_do_not_fit_the_backbone_are_refused(
    backbones: dict[str, Path], family: str, loading: dict[str, Any], message: str
) -> None:
    with pytest.raises(PeftirError, match=message) as error:
        retriever(backbones[family], "mean", **loading)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash_attn is installed")
def test_attention_that_the_machine_lacks_is_one_line(backbones: dict[str, Path]) -> None:
    with pytest.raises(
        PeftirError, match=r"^backbone.attn_implementation: 'flash_attention_2': can"
    ) as error:
        retriever(backbones["qwen3"], attn_implementation="flash_attention_2")
    assert "\n" not in str(error.value)


def test_only_frozen_weights_have_another_format(backbones: dict[str, Path]) -> None:
    model = retriever(backbones["qwen3"], weights="bfloat16")
    full = MethodParams(type="full", learning_rate=RATES)
    with pytest.raises(PeftirError, match=r"methods\.all\.type: got 'full', which trains the backbone"):
        saving.attach(model, "all", full)
