"""What every method must hold in the families that share the places of others, a test for each pair."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cases import ALL, CASES, FURTHER, FURTHER_ADMITTED, FURTHER_REFUSED, NOT_ZERO
from tiny import assert_close, stir, tiny_model, tuned
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, T5EncoderModel

from peftir.tuners import TunerError, attach
from training import assert_a_step_trains_its_own

HEADS = {"bi": False, "cross": True}
RETRIEVERS_ONLY = ("t5",)
PAIRS = [
    (family, case, stage)
    for family, case in FURTHER_ADMITTED
    for stage in HEADS
    if stage == "bi" or family not in RETRIEVERS_ONLY
]
FIRST_COLUMN = ("gte", "nomic_bert", "jina_embeddings_v3")
"""Families whose heads read the first column, so that they re-rank no batch with padding on the left."""

TEXTS = ([7, 9, 11, 8, 6, 5, 12], [8, 6, 10, 13], [17], [21, 30, 14, 8, 25, 9], [33, 5, 19, 27, 16])
BATCH = {
    "input_ids": torch.tensor([text + [0] * (7 - len(text)) for text in TEXTS]),
    "attention_mask": torch.tensor([[1] * len(text) + [0] * (7 - len(text)) for text in TEXTS]),
}


@functools.cache
def made(family: str, stage: str) -> nn.Module:
    # Frozen as under a tuner: torch has another kernel where T5's bias of positions is trained.
    return tiny_model(FURTHER[family], HEADS[stage]).requires_grad_(False)


def plain(family: str, stage: str) -> nn.Module:
    return copy.deepcopy(made(family, stage))


def padded_left(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    ids, mask = batch["input_ids"], batch["attention_mask"]
    return {
        "input_ids": torch.zeros_like(ids).masked_scatter(mask.flip(1).bool(), ids[mask.bool()]),
        "attention_mask": mask.flip(1),
    }


@pytest.mark.parametrize(("family", "case", "stage"), PAIRS)
def test_it_starts_as_the_backbone_trains_its_own_and_sees_no_padding(
    family: str, case: str, stage: str
) -> None:
    type, knobs = ALL[case]
    model, head = plain(family, stage), HEADS[stage]
    expected = model(**BATCH)[0]
    # With a small rank, ReLU can be zero for the last tokens of all texts.
    attach(model, type, **knobs | ({"rank": 16} if "mam" in case else {}))
    if case not in NOT_ZERO:
        assert torch.equal(model.eval()(**BATCH)[0], expected)

    stir(tuned(model))
    before = assert_a_step_trains_its_own(model, BATCH, head)
    model.load_state_dict(before, strict=False)
    model.eval()
    if family != "gemma2":  # whose eager softmax, in float32, takes float64's mask for minus infinity
        model.double()
    together, left = model(**BATCH)[0].double(), model(**padded_left(BATCH))[0].double()
    for text, length in enumerate(BATCH["attention_mask"].sum(dim=1).tolist()):
        alone = model(input_ids=BATCH["input_ids"][text : text + 1, :length])[0][0].double()
        assert_close(together[text] if head else together[text, :length], alone, family)
        if not (head and family in FIRST_COLUMN):
            assert_close(left[text] if head else left[text, -length:], alone, family)
    model.disable_adapters()
    assert torch.equal(model.float()(**BATCH)[0], expected)


@pytest.mark.parametrize(("family", "case"), sorted(FURTHER_REFUSED))
def test_what_a_family_does_not_admit_is_refused_with_the_reason(family: str, case: str) -> None:
    type, knobs = CASES[case]
    model = plain(family, "bi")
    with pytest.raises(TunerError, match=FURTHER_REFUSED[family, case]) as error:
        attach(model, type, **knobs)
    assert "\n" not in str(error.value)
    assert list(dict(model.named_modules())) == list(dict(made(family, "bi").named_modules()))


def test_an_encoder_with_its_decoder_is_refused() -> None:
    with pytest.raises(TunerError, match=r"^model: got T5ForSeq\w+, which has a decoder.*retrievers only"):
        attach(tiny_model(FURTHER["t5"], head=True), "adapter", rank=2)


IN_A_FRESH_PROCESS = """
import copy, json, sys
import torch
import peftir.tuners
from transformers import AutoModel, AutoModelForSequenceClassification, T5EncoderModel
asked = json.load(sys.stdin)
batch = {name: torch.tensor(values) for name, values in asked["batch"].items()}
outputs = {}
for backbone, adapters in asked["adapters"].items():
    for stage, folders in adapters.items():
        kind = AutoModelForSequenceClassification if stage == "cross" else AutoModel
        kind = T5EncoderModel if backbone.endswith("t5") else kind
        plain = kind.from_pretrained(backbone, **({"num_labels": 1} if stage == "cross" else {}))
        for folder in folders:
            model = copy.deepcopy(plain)
            peftir.tuners.load(model, folder)
            outputs[folder] = model.eval()(**batch)[0].tolist()
print(json.dumps(outputs))
"""


def test_a_fresh_process_gives_identical_outputs(tmp_path: Path) -> None:
    adapters: dict[str, dict[str, list[str]]] = {}
    expected: dict[str, list] = {}

    @functools.cache
    def loaded(family: str, stage: str) -> nn.Module:
        backbone = tmp_path / family
        if not backbone.exists():
            made(family, "bi").save_pretrained(backbone)
        if stage == "cross":
            return AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=1)
        return (T5EncoderModel if family == "t5" else AutoModel).from_pretrained(backbone)

    # The stages take turns, from one method to the next.
    for index, (family, case) in enumerate(FURTHER_ADMITTED):
        stage = "bi" if index % 2 or family in RETRIEVERS_ONLY else "cross"
        folders = adapters.setdefault(str(tmp_path / family), {}).setdefault(stage, [])
        type, knobs = ALL[case]
        model = copy.deepcopy(loaded(family, stage))
        attach(model, type, **knobs)
        stir(tuned(model), size=0.2)
        folders.append(str(tmp_path / f"{family}-{case}-{stage}"))
        model.save_pretrained(folders[-1])
        expected[folders[-1]] = model.eval()(**BATCH)[0].tolist()
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        input=json.dumps(
            {"adapters": adapters, "batch": {name: values.tolist() for name, values in BATCH.items()}}
        ),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected
