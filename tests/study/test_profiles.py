"""profiles/: complete params for other collections, each as good as params.yaml."""

from __future__ import annotations

import re

import ir_measures
import pytest
import torch
from transformers import BertConfig, BertModel

from peftir.data.prepare import SOURCES
from peftir.study.params import load_params
from peftir.tuners import METHODS, make_config, validate
from peftir.tuners.places import Backbone
from structure import ROOT

PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))
PAPER = ("msmarco-passage", "msmarco-doc")


def test_there_is_one_for_each_scale() -> None:
    assert {"smoke", "nfcorpus", "scifact", "cranfield", *PAPER} <= set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_valid_throughout(name: str) -> None:
    params = load_params(ROOT / "profiles" / f"{name}.yaml")
    assert params.collection.source.partition(":")[0] in SOURCES
    for method in params.methods.values():
        validate(method.type, **method.knobs)
    for test in params.tests.values():
        assert test.source.partition(":")[0] in SOURCES
    for _, measure in params.measure_names():
        ir_measures.parse_measure(measure)


@pytest.mark.parametrize("name", PROFILES)
def test_it_says_how_to_run_it(name: str) -> None:
    text = (ROOT / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    assert re.search(rf"To run it: cp profiles/{name}\.yaml params\.yaml && (dvc|make) repro", text)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_sizes_train_the_share_that_it_states(name: str) -> None:
    with torch.device("meta"):
        bert = BertModel(BertConfig())  # BERT-base
    weights = sum(weight.numel() for weight in bert.parameters())
    methods = load_params(ROOT / "profiles" / f"{name}.yaml").methods
    for label, method in methods.items():
        if method.type in ("full", "bitfit"):
            continue
        make_config(method.type, bert, **method.knobs)
        count_parameters = METHODS[method.type].count_parameters
        assert count_parameters is not None
        share = count_parameters(Backbone.of(bert), **method.knobs) / weights
        # Ma et al. state 0.5 % for all small ones (iaa_l's formula gives 0.61 %), 6.7 % for the large
        # (iaa_m's gives 7.6 %) and 3.6 % for the large prefix.
        low, high = (
            ((0.03, 0.04) if "prefix" in label else (0.064, 0.077)) if "large" in label else (0.004, 0.0064)
        )
        assert low < share < high, label
