"""A tuned model travels: saved, loaded in a fresh process, and the scores are the very same bits."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cases import ADMITTED, ALL, CASES, MARKS, PEFTS
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tiny import SENTENCE, assert_close, stir
from transformers import AutoModel, AutoModelForSequenceClassification, BertModel, PreTrainedTokenizerFast

from peftir.tuners import TunerError, attach, make_config, verify

TEXTS = ["how do i sort a list", "the stable way is to call sorted", "order", SENTENCE]
PAIRS = [(TEXTS[0], text) for text in TEXTS]

BATCH = {
    "input_ids": torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}

IN_A_FRESH_PROCESS = """
import json, sys
import torch
import peftir.tuners
from transformers import AutoModel, AutoModelForSequenceClassification
from sentence_transformers import CrossEncoder, SentenceTransformer
asked = json.load(sys.stdin)
bi = {type: SentenceTransformer(path) for type, path in asked["bi"].items()}
cross = {type: CrossEncoder(path) for type, path in asked["cross"].items()}
kinds = {"bi": AutoModel, "cross": AutoModelForSequenceClassification}
any_family = {path: kinds[kind].from_pretrained(path) for path, kind in asked["any_family"].items()}
for type in asked["peft"]:  # what PEFT's own types leave to the user
    for models, paths in ((bi, asked["bi"]), (cross, asked["cross"])):
        peftir.tuners.verify(models[type][0].model, paths[type])
for path, model in any_family.items():
    if not model.peft_config["default"].peft_type.startswith("PEFTIR_"):
        peftir.tuners.verify(model, path)
given = {name: torch.tensor(values) for name, values in asked["batch"].items()}
print(json.dumps({
    "bi": {type: model.encode(asked["texts"]).tolist() for type, model in bi.items()},
    "cross": {type: model.predict(asked["pairs"]).tolist() for type, model in cross.items()},
    "any_family": {path: model(**given)[0].tolist() for path, model in any_family.items()},
}))
"""


def tune(model, case):
    type, knobs = ALL[case]
    torch.manual_seed(5)
    attach(model, type, **knobs)
    stir((p for p in model.parameters() if p.requires_grad), size=0.2)


@pytest.fixture(scope="module")
def saved(backbone_folder, tmp_path_factory):
    """Every method tuned and saved at both stages: the folders, and the scores before saving."""
    root = tmp_path_factory.mktemp("models")
    folders: dict = {"bi": {}, "cross": {}}
    scores: dict = {"bi": {}, "cross": {}}
    for case in ALL:
        transformer = Transformer(str(backbone_folder))
        bi = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
        cross = CrossEncoder(str(backbone_folder), num_labels=1, device="cpu")
        for kind, model in (("bi", bi), ("cross", cross)):
            tune(model[0].model, case)
            model.eval()
            folder = root / kind / case
            model.save_pretrained(str(folder))
            folders[kind][case] = str(folder)
        scores["bi"][case] = bi.encode(TEXTS).tolist()
        scores["cross"][case] = cross.predict(PAIRS).tolist()
    return folders, scores


@pytest.fixture(scope="module")
def saved_in_any_family(family_folders, tmp_path_factory):
    """Every method in every family at both stages: folders with their kind, and outputs before saving."""
    root = tmp_path_factory.mktemp("families")
    kinds, outputs = {}, {}
    for family, case in ADMITTED:
        for kind, auto in (("bi", AutoModel), ("cross", AutoModelForSequenceClassification)):
            torch.manual_seed(6)
            model = auto.from_pretrained(family_folders[family], num_labels=1)
            tune(model, case)
            folder = str(root / f"{family}-{case}-{kind}")
            model.save_pretrained(folder)
            kinds[folder] = kind
            outputs[folder] = model.eval()(**BATCH)[0].tolist()
    return kinds, outputs


def test_a_fresh_process_gives_identical_scores(saved, saved_in_any_family):
    folders, scores = saved
    kinds, outputs = saved_in_any_family
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        input=json.dumps(
            {
                "texts": TEXTS,
                "pairs": PAIRS,
                **folders,
                "peft": PEFTS,
                "any_family": kinds,
                "batch": {name: values.tolist() for name, values in BATCH.items()},
            }
        ),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    # The head of zero_shot at re-ranking is random by definition and saved with the whole model.
    assert loaded.pop("any_family") == outputs
    assert loaded == scores
    assert len({json.dumps(each) for each in scores["bi"].values()}) == len(ALL)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["bi", "cross"])
def test_the_folder_holds_the_adapter_and_the_head_only(saved, case, kind):
    folder = Path(saved[0][kind][case])
    weights = [file for file in folder.rglob("*") if file.suffix in (".safetensors", ".bin", ".pt", ".pkl")]
    assert [file.name for file in weights] == ["adapter_model.safetensors"]
    names = load_file(weights[0])
    assert all(any(mark in name for mark in (*MARKS, "classifier")) for name in names)
    assert any("classifier" in name for name in names) == (kind == "cross")


def loaded(kind, folder, case):
    """Loaded by ``kind``; what is of PEFT's own types is checked then, which ours do by themselves."""
    model = kind(str(folder))
    if case in PEFTS:
        verify(model[0].model, folder)
    return model


@pytest.mark.parametrize("case", CASES)
def test_loaded_weights_lie_where_torch_would_put_them(saved, case):
    # Products with weights at odd addresses, as they come out of the file, may differ in the last bit.
    model = loaded(CrossEncoder, saved[0]["cross"][case], case)[0].model
    names = (*MARKS, "modules_to_save")
    assert {p.data_ptr() % 64 for n, p in model.named_parameters() if any(name in n for name in names)} == {0}


def spoil(source, target, change):
    target.mkdir()
    for file in Path(source).rglob("*"):
        if file.is_file():
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    file = target / "adapter_model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part", ["classifier", "layer.1"])
def test_a_missing_weight_is_an_error(saved, tmp_path, case, part):
    def drop(weights):
        del weights[next(name for name in sorted(weights) if part in name)]

    spoil(saved[0]["cross"][case], tmp_path / "model", drop)
    with pytest.raises(TunerError, match=r"adapter_model.safetensors: 1 missing weight\(s\)"):
        loaded(CrossEncoder, tmp_path / "model", case)


@pytest.mark.parametrize("case", CASES)
def test_an_unexpected_weight_is_an_error(saved, tmp_path, case):
    def add(weights):
        name = next(name for name in sorted(weights) if "layer.1" in name)
        weights[name.replace("layer.1", "layer.2")] = weights[name].clone()

    spoil(saved[0]["bi"][case], tmp_path / "model", add)
    with pytest.raises(TunerError, match=r"adapter_model.safetensors: 1 unexpected weight\(s\)"):
        loaded(SentenceTransformer, tmp_path / "model", case)


@pytest.mark.parametrize("case", CASES)
def test_a_peft_model_loads_exactly_or_not_at_all(make_bert, batch, tmp_path, case):
    type, knobs = CASES[case]
    bare = make_bert(head=True)
    model = get_peft_model(bare, make_config(type, bare, **knobs))
    stir((p for p in model.parameters() if p.requires_grad), size=0.2)
    model.save_pretrained(tmp_path / "model")
    loaded = PeftModel.from_pretrained(make_bert(head=True), tmp_path / "model")
    assert torch.equal(loaded.eval()(**batch)[0], model.eval()(**batch)[0])

    def drop(part):
        return lambda weights: weights.pop(sorted(name for name in weights if part in name)[0])

    def add(weights):
        weights["base_model.model.bert.encoder.layer.7.aside.tuned_up.weight"] = torch.zeros(1)

    for name, change, what in (("less", drop("layer.1"), "missing"), ("more", add, "unexpected")):
        spoil(tmp_path / "model", tmp_path / name, change)
        with pytest.raises(TunerError, match=rf"1 {what} weight\(s\)"):
            again = PeftModel.from_pretrained(make_bert(head=True), tmp_path / name)
            if case in PEFTS:
                verify(again, tmp_path / name)
    spoil(tmp_path / "model", tmp_path / "headless", drop("classifier"))
    with pytest.raises(KeyError, match="classifier"):  # PEFT's own
        PeftModel.from_pretrained(make_bert(head=True), tmp_path / "headless")


def test_a_pooler_that_no_checkpoint_had_travels_with_the_head(backbone_folder, tmp_path):
    poolerless = tmp_path / "poolerless"
    BertModel.from_pretrained(backbone_folder, add_pooling_layer=False).save_pretrained(poolerless)
    PreTrainedTokenizerFast.from_pretrained(backbone_folder).save_pretrained(poolerless)
    torch.manual_seed(1)
    model = CrossEncoder(str(poolerless), num_labels=1, device="cpu")
    tune(model[0].model, "adapter")
    model.eval()
    model.save_pretrained(str(tmp_path / "model"))
    torch.manual_seed(2)
    assert CrossEncoder(str(tmp_path / "model")).predict(PAIRS).tolist() == model.predict(PAIRS).tolist()


def test_a_decoder_is_an_embedder_by_its_last_token(family_folders, tmp_path):
    folder = str(family_folders["qwen3"])
    model = SentenceTransformer(modules=[Transformer(folder), Pooling(32, "lasttoken")], device="cpu")
    tune(model[0].model, "iaa_s_mam")
    expected = model.eval().encode(TEXTS)
    exact = copy.deepcopy(model).double()
    together = exact.encode(TEXTS, convert_to_tensor=True)
    for row, text in zip(together, TEXTS, strict=True):
        assert_close(exact.encode(text, convert_to_tensor=True), row, "qwen3")
    model.save_pretrained(str(tmp_path / "model"))
    assert SentenceTransformer(str(tmp_path / "model")).encode(TEXTS).tolist() == expected.tolist()
