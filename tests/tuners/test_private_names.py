"""Names of other packages that are private and used here: they are there, and the versions are bounded."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

PRIVATE = {
    "peft.mapping": (
        "PEFT_TYPE_TO_CONFIG_MAPPING",
        "PEFT_TYPE_TO_TUNER_MAPPING",
        "PEFT_TYPE_TO_PREFIX_MAPPING",
    ),
    "peft.tuners._buffer_dict.BufferDict": ("keys",),
    "peft.tuners.tuners_utils.BaseTuner": (
        "_prepare_adapter_config",
        "_check_target_module_exists",
        "_create_and_replace",
        "_get_adapter_state_dict",
        "_remap_adapter_state_dict_for_load",
        "_unload_and_optionally_merge",
        "inject_adapter",
    ),
    "peft.tuners.tuners_utils.BaseTunerLayer": ("adapter_layer_names", "get_base_layer"),
    "peft.utils.ModulesToSaveWrapper": (),
    "transformers.modeling_utils": ("ALL_ATTENTION_FUNCTIONS",),
    "transformers.core_model_loading": ("WeightRenaming",),
    "transformers.PreTrainedModel": ("_load_pretrained_model",),
}


def found(path: str) -> object:
    """The module, or the class in a module, of this name."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("owner", PRIVATE)
def test_the_names_are_there(owner: str) -> None:
    assert not [name for name in PRIVATE[owner] if not hasattr(found(owner), name)]


def test_the_next_minor_version_of_their_packages_is_not_admitted() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    bounds = {re.split("[>=<]", line)[0]: line for line in project["dependencies"]}
    assert set(bounds) == {"torch", "transformers", "peft"}
    for package in {owner.partition(".")[0] for owner in PRIVATE}:
        assert re.fullmatch(rf"{package}>=\d+\.\d+(\.\d+)?,<\d+\.\d+", bounds[package])
