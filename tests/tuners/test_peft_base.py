"""IAA's asides around methods of PEFT: ``base: peft``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from peft_cases import BATCH, bert, outputs
from tiny import stir

from peftir.models import saving
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.study.params import MethodParams
from peftir.system.errors import PeftirError
from peftir.tuners import TunerError, attach, count, load, make_config, validate
from tiny_backbone import write_tiny_bert

LORA = {"peft_type": "LORA", "r": 3, "target_modules": ["query", "value"]}
DORA = {"peft_type": "LORA", "r": 3, "use_dora": True, "target_modules": "all-linear"}
OFT = {"peft_type": "OFT", "oft_block_size": 8, "target_modules": ["query", "value"]}
IA3 = {"peft_type": "IA3", "target_modules": ["key", "value"], "feedforward_modules": []}
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "dora": ("iaa_s", DORA, 2 * (3 * (4 * 64 + 2 * 80) + 4 * 32 + 32 + 48)),
    "oft": ("iaa_l", OFT, 2 * 2 * 4 * 28),  # 4 blocks, a skew-symmetric matrix of 8 rows for each
    "ia3": ("iaa_m", IA3, 2 * 2 * 32),
    # Has weights that are not trained and not saved, and one that is saved and not trained.
    "adalora": ("iaa_l", {**LORA, "peft_type": "ADALORA", "init_r": 3, "target_r": 3}, 2 * 2 * 3 * 65),
    "delora": ("iaa_l", {**LORA, "peft_type": "DELORA"}, 2 * 2 * (3 * 64 + 1)),
}
"""The type, the base, and the number of weights that the base trains in the tiny BERT."""

del CASES["adalora"][1]["r"]
ASIDES = {"iaa_s": 4, "iaa_l": 2, "iaa_m": 1}
"""Asides in two layers."""

both_stages = pytest.mark.parametrize("head", [False, True], ids=["bi", "cross"])
every_case = pytest.mark.parametrize("case", CASES)


def knobs(case: str) -> dict[str, Any]:
    return {"base": "peft", "config": CASES[case][1], "aside_rank": 2}


def tuned(case: str, head: bool, seed: int = 3) -> Any:
    model = bert(head)
    torch.manual_seed(seed)
    attach(model, CASES[case][0], **knobs(case))
    stir((weight for weight in model.parameters() if weight.requires_grad), seed=seed)
    return model.eval()


@both_stages
@every_case
def test_untrained_it_is_the_backbone_and_trains_the_base_the_asides_and_the_head(
    case: str, head: bool
) -> None:
    type, config, of_base = CASES[case]
    model, plain = bert(head), bert(head)
    settled = attach(model, type, **knobs(case))
    assert settled["config.peft_type"] == config["peft_type"]
    assert settled["base"] == "peft"
    assert outputs(model) == outputs(plain)
    weights = count(model)
    assert weights.trained == of_base + ASIDES[type] * (2 * 2 * 32 + 2 + 32)
    assert weights.backbone == count(plain).backbone
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert sum(model.get_parameter(name).numel() for name in trained) == weights.trained + weights.head
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.Adam((w for w in model.parameters() if w.requires_grad), lr=0.01)
    for _ in range(2):  # a factor of zero lets no gradient through to the other in the first step
        optimizer.zero_grad()
        model.train()(**BATCH)[0].square().sum().backward()
        optimizer.step()
    assert {n for n, weight in model.named_parameters() if not torch.equal(weight, before[n])} <= trained
    for part in ("tuned_", "lora_" if "lora" in case or case == "dora" else f"{case}_"):
        assert any(part in n for n in trained if not torch.equal(model.get_parameter(n), before[n]))


@every_case
def test_it_computes_what_peft_and_the_asides_alone_do_together(case: str) -> None:
    type, config, _ = CASES[case]
    model = tuned(case, head=False)
    apart = bert(head=False)
    apart.add_adapter(make_config("peft", apart, config=config), "inside")
    apart.add_adapter(make_config(type, apart, base="none", aside_rank=2), "beside")
    apart.set_adapter(["inside", "beside"])
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in apart.named_parameters():
            for adapter in ("inside", "beside"):
                if f".{adapter}" in name:
                    weight.copy_(weights[name.replace(f".{adapter}", ".default")])
    assert outputs(apart) == outputs(model) != outputs(bert(head=False))


@both_stages
def test_several_share_a_backbone_and_leave_it_as_it_was(head: bool, tmp_path: Path) -> None:
    alone = {case: outputs(tuned(case, head)) for case in CASES}
    bert(head).save_pretrained(tmp_path / "backbone")
    for case in CASES:
        model = tuned(case, head)
        model.peft_config["default"].base_model_name_or_path = str(tmp_path / "backbone")
        model.save_pretrained(tmp_path / case)
    shared = bert(head)
    plain = outputs(shared)
    for case in CASES:
        load(shared, tmp_path / case, adapter_name=f"of_{case}")
    for case in (*CASES, *reversed(CASES)):
        shared.set_adapter(f"of_{case}")
        assert outputs(shared) == alone[case], case
    shared.disable_adapters()
    assert outputs(shared) == plain
    by_peft = PeftModel.from_pretrained(bert(head), tmp_path / "dora")
    assert outputs(by_peft) == alone["dora"]
    if not head:  # PEFT keeps a trained head
        assert outputs(by_peft.unload()) == plain


def test_two_of_one_type_are_switched_deleted_and_not_mixed() -> None:
    model = get_peft_model(bert(False), make_config("iaa_s", bert(False), **knobs("dora")), "first")
    model.add_adapter("second", make_config("iaa_s", model.get_base_model(), **knobs("dora")))
    found = {}
    for seed, name in enumerate(("first", "second")):
        model.set_adapter(name)
        trained = [n for n, weight in model.named_parameters() if weight.requires_grad]
        assert trained and all(f".{name}" in each for each in trained)
        stir((model.get_parameter(each) for each in trained), seed=seed)
        found[name] = outputs(model)
    assert found["first"] != found["second"]
    with pytest.raises(TunerError, match=r"^adapter_names: got a model with IaaSTuner around a method"):
        model(**BATCH, adapter_names=["first", "second"])
    model.delete_adapter("second")
    assert not [name for name in model.state_dict() if ".second" in name]
    model.set_adapter("first")
    assert outputs(model) == found["first"]


IN_A_FRESH_PROCESS = """
import json, sys
from sentence_transformers import CrossEncoder, SentenceTransformer
import peftir.tuners
from peftir.models import saving
from pathlib import Path
found = {}
for folder in json.load(sys.stdin):
    kind = CrossEncoder if folder.endswith("reranker") else SentenceTransformer
    for model in (kind(folder), saving.load(kind, Path(folder))):
        scored = model.predict([("sort", "list")]) if kind is CrossEncoder else model.encode(["sort list"])
        found.setdefault(folder, []).append(scored.tolist())
print(json.dumps(found))
"""


def test_a_fresh_process_gives_the_same_scores(tmp_path: Path) -> None:
    backbone = write_tiny_bert(tmp_path / "tiny", ["sort", "list"])
    before = {}
    for case, (type, _, _) in CASES.items():
        for stage in ("retriever", "reranker"):
            torch.manual_seed(4)
            if stage == "retriever":
                model: Any = new_biencoder(str(backbone), pooling="mean", query_length=8, document_length=8)
            else:
                model = new_crossencoder(str(backbone), length=16)
            block = {"type": type, "learning_rate": {"retriever": 1e-3, "reranker": 1e-3}, **knobs(case)}
            saving.attach(model, "tuned", MethodParams.model_validate(block))
            stir(weight for weight in model.parameters() if weight.requires_grad)
            folder = tmp_path / case / stage
            saving.save(model.eval(), folder, str(backbone))
            scored = model.predict([("sort", "list")]) if stage == "reranker" else model.encode(["sort list"])
            before[str(folder)] = [scored.tolist()] * 2  # by sentence-transformers and by peftir
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        input=json.dumps(list(before)),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == before


@pytest.mark.parametrize(
    ("type", "given", "size"),
    [
        ("iaa_l", {"config": {"peft_type": "LORA", "use_dora": True}}, "config.r"),
        ("iaa_m", {"config": {"peft_type": "LORA"}, "aside_rank": 5}, "config.r"),
        ("iaa_s", {"config": {"peft_type": "HRA"}, "aside_ratio": 0.5}, "config.r"),
        ("iaa_l", {"config": IA3}, "aside_rank"),
    ],
)
def test_a_budget_is_met_from_below(type: str, given: dict[str, Any], size: str) -> None:
    model = bert(True)
    settled = attach(model, type, base="peft", budget=0.3, **given)
    weights = count(model)
    assert weights.share <= 0.3
    step = 2 if given["config"]["peft_type"] == "HRA" else 1  # an odd rank does not start as the backbone
    larger = {key: value for key, value in settled.items() if key in ("aside_rank", "aside_ratio", "base")}
    config = {**given["config"]}
    if size == "aside_rank":
        larger["aside_rank"] += step
    else:
        config["r"] = settled[size] + step
    above = bert(True)
    attach(above, type, **larger, config=config)
    assert count(above).share > 0.3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "config: missing, peft needs a block with peft_type"),
        (
            {"config": {"peft_type": "VERA"}},
            "config.peft_type: got 'VERA' as the base of asides, but it",
        ),
        ({"config": {"peft_type": "XLORA"}}, "config.peft_type: got 'XLORA', which mixes several"),
        (
            {"config": {**LORA, "bias": "lora_only"}},
            "config.bias: got 'lora_only', but biases of the",
        ),
        ({"config": {**LORA, "rr": 3}}, "config.rr: got 3, but iaa_l around peft LORA takes config.r, "),
        (
            {"config": LORA, "budget": 0.1},
            "budget: got 0.1 together with config.r=3, expected one of",
        ),
        ({"config": LORA, "rank": 3}, "rank: got 3, but iaa_l takes config, size, aside_rank, aside_ratio"),
        ({"config": LORA, "aside_rank": 2, "aside_ratio": 2.0}, "aside_ratio: got 2.0 together with aside_"),
        ({"config": OFT}, "aside_rank: missing; peft OFT has no rank that it could follow from"),
        ({"config": {"peft_type": "OFT"}, "budget": 0.1}, "aside_rank: missing; peft OFT has no rank"),
        ({"config": {"peft_type": "ADAMSS"}, "budget": 0.1}, "budget: got 0.1, but what ADAMSS trains is"),
        ({"config": IA3, "budget": 0.1, "aside_rank": 2}, "budget: got 0.1 together with aside_rank=2"),
    ],
)
def test_a_mistake_gets_one_line_that_names_the_key(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TunerError) as error:
        validate("iaa_l", base="peft", **given)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_module_that_is_not_there_is_refused_before_anything_is_inserted(tmp_path: Path) -> None:
    backbone = write_tiny_bert(tmp_path / "tiny", ["sort"])
    model = new_biencoder(str(backbone), pooling="mean", query_length=8, document_length=8)
    names = list(model.state_dict())
    block = {"type": "iaa_l", "base": "peft", "config": {**LORA, "target_modules": ["q_proj"]}}
    rates = {"retriever": 1e-3, "reranker": 1e-3}
    with pytest.raises(PeftirError, match=r"^params.yaml: methods.v.config.target_modules: got {'q_proj'}"):
        saving.attach(model, "v", MethodParams.model_validate({**block, "learning_rate": rates}))
    assert list(model.state_dict()) == names
