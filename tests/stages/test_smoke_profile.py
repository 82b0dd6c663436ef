"""profiles/smoke.yaml: the whole study in minutes, with every method of the paper."""

from __future__ import annotations

from typing import Any

import yaml

from peftir.study.params import load_params
from peftir.tuners import METHODS, validate
from structure import ROOT

PROFILE = ROOT / "profiles" / "smoke.yaml"
NOT_IN_THE_PAPER = {"ia3", "peft"}


def keys(content: Any) -> Any:
    """The keys of blocks within blocks."""
    return {key: keys(value) for key, value in content.items()} if isinstance(content, dict) else None


def test_every_method_of_the_paper_runs_at_both_stages() -> None:
    params = load_params(PROFILE)
    for stage, types in (
        ("untrained", {"zero_shot"}),
        ("retriever", set(METHODS) - NOT_IN_THE_PAPER - {"zero_shot"}),
        ("reranker", set(METHODS) - NOT_IN_THE_PAPER - {"zero_shot"}),
    ):
        methods = [params.methods[name] for name in getattr(params.variants, stage)]
        assert {method.type for method in methods} == types
        for method in methods:
            validate(method.type, **method.knobs)


def test_it_has_every_key_of_params_yaml() -> None:
    smoke, default = (
        {block: keys(content) for block, content in yaml.safe_load(path.read_text(encoding="utf-8")).items()}
        for path in (PROFILE, ROOT / "params.yaml")
    )
    for content in (smoke, default):
        del content["methods"]
    assert smoke == default
