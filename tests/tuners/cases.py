"""The methods under test, with small and odd sizes: saved weights then lie at odd addresses of the file."""

from __future__ import annotations

from typing import Any

from tiny import further_configs, tiny_configs

from peftir.tuners import METHODS

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bitfit": ("bitfit", {}),
    "prefix": ("prefix", {"length": 3}),
    "adapter": ("adapter", {"rank": 3}),
    "lora": ("lora", {"rank": 5}),
    "lora_everywhere": ("lora", {"rank": 3, "target_modules": "all-linear", "init_lora_weights": "gaussian"}),
    "ia3": ("ia3", {}),
    "peft": ("peft", {"config": {"peft_type": "LOHA", "target_modules": "all-linear", "r": 3}}),
    "mam": ("mam", {"rank": 3, "length": 5}),
    "iaa_s": ("iaa_s", {"rank": 3, "aside_rank": 2}),
    "iaa_l": ("iaa_l", {"rank": 7, "aside_rank": 5}),
    "iaa_m": ("iaa_m", {"rank": 3, "aside_rank": 5}),
    "iaa_s_alone": ("iaa_s", {"base": "none", "aside_rank": 3}),
    "iaa_l_alone": ("iaa_l", {"base": "none", "aside_rank": 3}),
    "iaa_m_alone": ("iaa_m", {"base": "none", "aside_rank": 3}),
    "iaa_l_lora": ("iaa_l", {"base": "lora", "rank": 3, "aside_rank": 2}),
    "iaa_s_mam": ("iaa_s", {"base": "mam", "rank": 3, "length": 2, "scale": 2.0, "aside_rank": 3}),
}
"""Every method that adds modules, and asides around other bases: name → type and knobs."""

PEFTS = ("lora", "lora_everywhere", "ia3", "peft")
"""PEFT's own: changes of weights, so they merge."""

MARKS = ("tuned_", "lora_", "ia3_", "hada_")
"""What the names of the methods' weights contain."""

OURS = [case for case in CASES if case not in PEFTS]
NOT_ZERO = {"prefix", "mam", "iaa_s_mam"}
"""Those with a prefix, which is seen from the start."""

ALL = {"zero_shot": ("zero_shot", {}), "full": ("full", {}), **CASES}

assert {type for type, _ in ALL.values()} == set(METHODS)

CONFIGS = tiny_configs()

REFUSED = {
    **{(family, case): "a prefix stands at none" for family in ("mpnet", "deberta-v2") for case in NOT_ZERO},
    **{(family, "bitfit"): "has no biases to train" for family in ("modernbert", "llama", "qwen3")},
}
REFUSED["modernbert", "ia3"] = "keys and values come from one module with the queries"
"""What a family does not admit, and why."""

ADMITTED = [(family, case) for family in CONFIGS for case in CASES if (family, case) not in REFUSED]

FURTHER = further_configs()
"""Families that share the places of one of the others; their contract is in test_further_families.py."""

FURTHER_REFUSED = {
    **{(family, "bitfit"): "has no biases to train" for family in FURTHER},
    **{("t5", case): "a prefix stands at none" for case in NOT_ZERO},
    ("phi3", "ia3"): "keys and values come from one module with the queries",
}
for _family in ("gte", "nomic_bert", "jina_embeddings_v3", "qwen2"):
    del FURTHER_REFUSED[_family, "bitfit"]

FURTHER_ADMITTED = [
    (family, case)
    for family in FURTHER
    for case in CASES
    # Asides alone are in the places of those around adapters.
    if (family, case) not in FURTHER_REFUSED and not case.endswith("_alone")
]
