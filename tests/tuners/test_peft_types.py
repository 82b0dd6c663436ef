"""The contract of ``type: peft``: each type of PEFT works on an encoder at both stages, or is refused."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftType, get_peft_model
from peft_cases import BATCH, CONFIGS, bert, knobs, outputs

from peftir.tuners import TunerError, Weights, attach, count, make_config, validate, vector_names
from peftir.tuners.peft_types import HEADLESS, PEFT_MODEL_ONLY, REFUSED

STAGES = ("bi", "cross")
CASES = [(kind, stage) for kind in CONFIGS for stage in STAGES if stage == "bi" or kind not in HEADLESS]

IN_A_FRESH_PROCESS = """
import json, sys
from peft import PeftModel
import peftir.tuners
from peft_cases import bert, outputs
found = {}
for name, folder in json.load(sys.stdin).items():
    kind, stage, way = name.split("-")
    if way == "attach":
        model = bert(stage == "cross")
        peftir.tuners.load(model, folder)
    else:
        model = PeftModel.from_pretrained(bert(stage == "cross"), folder)
    peftir.tuners.verify(model, folder)
    found[name] = outputs(model)
print(json.dumps(found))
"""


def name(kind: str, stage: str) -> str:
    """The name of a model's folder, with the way that it is loaded."""
    return f"{kind}-{stage}-{'peft' if kind in PEFT_MODEL_ONLY else 'attach'}"


def put(kind: str, stage: str) -> Any:
    """A tiny BERT with an adapter, by ``attach`` or, where transformers does not support it, by PEFT."""
    model = bert(stage == "cross")
    torch.manual_seed(3)
    if kind in PEFT_MODEL_ONLY:
        return get_peft_model(model, make_config("peft", model, **knobs(kind)))
    attach(model, "peft", **knobs(kind))
    return model


@dataclass(frozen=True)
class Made:
    """What is seen of a model that is tuned and saved; names are of weights."""

    untrained: list[Any]
    tuned: list[Any]
    trained: dict[str, tuple[int, ...]]
    changed: set[str]
    vectors: set[str]
    weights: Weights
    of_peft: int


def make(kind: str, stage: str, folder: Path) -> Made:
    model = put(kind, stage)
    untrained = outputs(model)
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.Adam(trained.values(), lr=0.01)
    for _ in range(2):  # a factor of zero lets no gradient through to the other in the first step
        optimizer.zero_grad()
        model.train()(**BATCH)[0].square().sum().backward()
        optimizer.step()
    tuned = outputs(model)
    for config in model.peft_config.values():
        config.base_model_name_or_path = str(folder.parent / f"backbone-{stage}")
    model.save_pretrained(folder)
    plain = bert(stage == "cross")
    return Made(
        untrained,
        tuned,
        {name: tuple(weight.shape) for name, weight in trained.items()},
        {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])},
        vector_names(model),
        count(model.get_base_model() if kind in PEFT_MODEL_ONLY else model),
        get_peft_model(plain, make_config("peft", plain, **knobs(kind))).get_nb_trainable_parameters()[0],
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for stage in STAGES:
        bert(stage == "cross").save_pretrained(root / f"backbone-{stage}")
    return root


@pytest.fixture(scope="module")
def made(folders: Path) -> dict[tuple[str, str], Made]:
    """Each type at each stage: trained for two steps and saved."""
    return {(kind, stage): make(kind, stage, folders / name(kind, stage)) for kind, stage in CASES}


@pytest.fixture(scope="module")
def loaded(folders: Path, made: dict[tuple[str, str], Made]) -> dict[str, Any]:
    """The outputs of what was saved, in a fresh process."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        input=json.dumps({name(*case): str(folders / name(*case)) for case in made}),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join([str(here), *sys.path])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_type_of_peft_works_or_is_refused_with_a_reason() -> None:
    kinds = {kind.value for kind in PeftType}
    assert CONFIGS.keys() | REFUSED.keys() == kinds
    assert not CONFIGS.keys() & REFUSED.keys()
    assert PEFT_MODEL_ONLY.keys() <= CONFIGS.keys()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_type_that_does_not_work_is_refused_by_name(kind: str) -> None:
    with pytest.raises(TunerError) as error:
        validate("peft", config={"peft_type": kind})
    assert str(error.value).startswith(
        f"config.peft_type: got '{kind}', which {REFUSED[kind]}; expected one of"
    )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", PEFT_MODEL_ONLY)
def test_a_type_that_transformers_does_not_support_is_refused_by_attach(kind: str) -> None:
    with pytest.raises(TunerError, match=rf"^config.peft_type: got '{kind}', which .*get_peft_model"):
        attach(bert(False), "peft", **knobs(kind))


@pytest.mark.parametrize("kind", HEADLESS)
def test_a_type_that_cannot_save_a_head_is_refused_for_a_reranker(kind: str) -> None:
    with pytest.raises(TunerError, match=rf"^config.peft_type: got '{kind}', which has no modules_to_save"):
        attach(bert(True), "peft", **knobs(kind))


def test_all_biases_are_trained_in_a_retriever_and_refused_in_a_reranker() -> None:
    given = {"config": {"peft_type": "LORA", "r": 3, "bias": "all"}}
    model = bert(False)
    attach(model, "peft", **given)
    biases = sum(weight.numel() for name, weight in bert(False).named_parameters() if "bias" in name)
    assert count(model).trained == 2 * 2 * 3 * 64 + biases
    with pytest.raises(TunerError, match=r"^config.bias: got 'all', but .*expected 'none' or 'lora_only'"):
        attach(bert(True), "peft", **given)


every_case = pytest.mark.parametrize(("kind", "stage"), CASES)


@every_case
def test_a_fresh_process_gives_the_same_outputs(
    made: dict[tuple[str, str], Made], loaded: dict[str, Any], kind: str, stage: str
) -> None:
    one = made[kind, stage]
    assert torch.isfinite(torch.tensor([one.untrained, one.tuned])).all()
    assert loaded[name(kind, stage)] == one.tuned != one.untrained


@every_case
def test_steps_change_what_is_trained_and_nothing_else(
    made: dict[tuple[str, str], Made], kind: str, stage: str
) -> None:
    changed = made[kind, stage].changed
    assert changed <= made[kind, stage].trained.keys()
    assert any("modules_to_save" not in weight for weight in changed)
    assert any("classifier.modules_to_save" in weight for weight in changed) == (stage == "cross")


@every_case
def test_counts_are_those_of_peft(made: dict[tuple[str, str], Made], kind: str, stage: str) -> None:
    one = made[kind, stage]
    counted = one.weights.trained + one.weights.head
    assert counted == one.of_peft == sum(math.prod(shape) for shape in one.trained.values())
    plain = sum(weight.numel() for weight in bert(stage == "cross").parameters())
    assert one.weights.backbone + one.weights.head == plain


@every_case
def test_weights_that_are_one_number_wide_are_vectors_or_of_a_projection(
    made: dict[tuple[str, str], Made], kind: str, stage: str
) -> None:
    projections = ("adamss_", "classifier", "glora_C")  # of rank 1, one output, rank × 1
    shapes = made[kind, stage].trained.items()
    thin = {weight for weight, shape in shapes if len(shape) == 2 and 1 in shape}
    assert {w for w in thin if not any(part in w for part in projections)} <= made[kind, stage].vectors
