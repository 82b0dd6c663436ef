"""``peftir count`` on BERT-base's shape and on the default backbone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel

from peftir.pipeline.count import as_table, count_variants
from peftir.study.params import MethodParams, load_params
from peftir.system.errors import PeftirError

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128, vocab_size=100
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def test_counts_follow_the_formulas(bert: str) -> None:
    rate = {"retriever": 1e-3, "reranker": 1e-3}
    methods = {
        "wide": MethodParams.model_validate({"type": "adapter", "rank": 4, "learning_rate": rate}),
        "none": MethodParams(type="zero_shot"),
        "all": MethodParams.model_validate({"type": "full", "learning_rate": rate}),
    }
    params = PARAMS.model_copy(update={"methods": methods})
    wide, none, everything = count_variants(Path(), params, bert, ["wide", "none", "all"])
    assert wide.trained_as_paper == 4 * 2 * 4 * 64  # 4 · L · r · d
    assert wide.trained == wide.trained_as_paper + 2 * 2 * (4 + 64)  # and a bias on either side of each
    assert wide.head == 64 + 1
    assert wide.share == pytest.approx(wide.trained / wide.backbone, abs=1e-6)
    assert 4 * (wide.trained + wide.head) < wide.bytes < 4 * (wide.trained + wide.head) + 5000
    assert (none.trained, none.bytes) == (0, 0)
    assert everything.share == 1
    assert everything.bytes > 4 * everything.backbone


def test_a_method_of_pefts_is_counted_by_its_configuration(bert: str) -> None:
    rate = {"retriever": 1e-3, "reranker": 1e-3}
    dora = {"peft_type": "LORA", "use_dora": True, "target_modules": "all-linear", "layers_pattern": None}
    methods = {
        "dora": MethodParams.model_validate(
            {"type": "peft", "budget": 0.05, "config": dora, "learning_rate": rate}
        ),
        "wrong": MethodParams.model_validate(
            {"type": "peft", "config": {**dora, "rr": 3}, "learning_rate": rate}
        ),
    }
    params = PARAMS.model_copy(update={"methods": methods})
    (count,) = count_variants(Path(), params, bert, ["dora"])
    # A layer has 4 matrices of 64 × 64 and 2 of 64 × 128; DoRA adds one for each output.
    rank = count.knobs["config.r"]
    assert count.trained == 2 * (rank * (4 * 128 + 2 * 192) + 4 * 64 + 128 + 64)
    assert count.trained <= 0.05 * count.backbone < count.trained + 2 * (4 * 128 + 2 * 192)
    assert count.head == 64 + 1
    with pytest.raises(
        PeftirError, match=r"^params.yaml: methods.wrong.config.rr: got 3, but peft LORA takes "
    ):
        count_variants(Path(), params, bert, ["wrong"])


def test_a_variant_that_is_not_there_names_those_that_are(bert: str) -> None:
    with pytest.raises(PeftirError, match=r"--variant lroa: expected a name under methods: zero_shot, full"):
        count_variants(Path(), PARAMS, bert, ["lroa"])


def test_the_command_prints_json(bert: str) -> None:
    command = [
        Path(sys.executable).parent / "peftir",
        "count",
        "--backbone",
        bert,
        "--variant",
        "full",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""  # no library's reports or progress bars
    (count,) = json.loads(done.stdout)
    assert (count["variant"], count["share"]) == ("full", 1)
    assert count["trained"] == count["backbone"]


def test_the_table_is_aligned(bert: str) -> None:
    lines = as_table(count_variants(Path(), PARAMS, bert, ["zero_shot", "full"])).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == [
        "variant",
        "type",
        "knobs",
        "weights",
        "trained",
        "share",
        "head",
        "bytes",
        "on",
        "disk",
    ]
