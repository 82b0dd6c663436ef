"""Importing the package changes nothing of PEFT and transformers; adapters load exactly or not at all."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES
from peft import PeftModel, get_peft_model, set_peft_model_state_dict
from peft.utils import load_peft_weights
from safetensors.torch import load_file, save_file
from tiny import stir

from peftir.tuners import TunerError, load, make_config, verify

IMPORTED = """
import json, sys
import peft, transformers
import peft.tuners.tuners_utils, peft.utils.other, transformers.integrations.peft, transformers.modeling_utils
from transformers import PreTrainedModel

def attributes():
    '''Every attribute of every module of the two and of their classes; entries of dictionaries one by one.'''
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in ("peft", "transformers"):
            continue
        things = [thing for thing in vars(module).values() if isinstance(thing, type)]
        own = [thing for thing in things if thing.__module__ == name]
        for owner in (module, *own):
            for key, value in list(vars(owner).items()):
                path = f"{owner.__module__}.{owner.__qualname__}.{key}" if owner in own else f"{name}.{key}"
                found[path] = value
                if type(value) is dict:
                    found |= {f"{path}[{entry}]": held for entry, held in value.items()}
    return found

before = attributes()
import peftir.tuners
after = attributes()
print(json.dumps({
    "changed": [key for key in before if key not in after or after[key] is not before[key]],
    "new": [key for key in after if key not in before],
    "heavy": [name for name in ("sentence_transformers", "pandas", "dvc", "datasets") if name in sys.modules],
}))
"""


def test_importing_the_package_registers_its_methods_and_changes_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["changed"] == []
    # PEFT's mappings of types, and the name of a prefix in transformers' registry of attention functions.
    assert {key.partition("[")[0].rpartition(".")[2] for key in result["new"]} == {
        "PEFT_TYPE_TO_CONFIG_MAPPING",
        "PEFT_TYPE_TO_TUNER_MAPPING",
        "PEFT_TYPE_TO_PREFIX_MAPPING",
        "_global_mapping",
    }
    assert all("[peftir_" in key.lower() for key in result["new"])
    assert result["heavy"] == []


@pytest.fixture
def make_saved(make_bert: Callable[..., Any], tmp_path: Path) -> Callable[[str], Path]:
    """A function that tunes and saves a cross-encoder by a case's method."""

    def make(case: str) -> Path:
        bare = make_bert(head=True)
        type, knobs = CASES[case]
        model = get_peft_model(bare, make_config(type, bare, **knobs))
        stir((p for p in model.parameters() if p.requires_grad), size=0.2)
        model.save_pretrained(tmp_path / case)
        return tmp_path / case

    return make


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


def remove(weights: dict[str, torch.Tensor]) -> None:
    del weights[inner(weights)]


def lengthen(weights: dict[str, torch.Tensor]) -> None:
    weights[inner(weights)] = torch.cat([weights[inner(weights)]] * 2)


def add(weights: dict[str, torch.Tensor]) -> None:
    weights[inner(weights).replace("layer.1", "layer.7")] = torch.zeros(1)


def behead(weights: dict[str, torch.Tensor]) -> None:
    del weights[next(name for name in sorted(weights) if "classifier" in name)]


def inner(weights: dict[str, torch.Tensor]) -> str:
    return next(name for name in sorted(weights) if "layer.1" in name)


CHANGES = {
    remove: r"1 missing weight\(s\).*layer\.1.*save the model again",
    add: r"1 unexpected weight\(s\).*layer\.7",
    lengthen: r"layer\.1.* has shape \[\d.*instead of \[\d",
    behead: r"1 missing weight\(s\).*classifier.*load what has no head",
}
WAYS: dict[str, Callable[[Any, Path], Any]] = {
    "transformers": lambda model, folder: model.load_adapter(str(folder)),
    "PEFT": lambda model, folder: PeftModel.from_pretrained(model, str(folder)),
    "load": lambda model, folder: load(model, folder),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("case", "way"), [*(("iaa_l", way) for way in WAYS), ("lora", "load")])
def test_a_file_that_is_not_the_adapters_is_refused(
    make_bert: Callable[..., Any], make_saved: Callable[[str], Path], case: str, change: Any, way: str
) -> None:
    folder = make_saved(case)
    rewrite(folder, change)
    # PEFT itself looks for the weights of heads before it asks any tuner.
    error = KeyError if (way, change) == ("PEFT", behead) else TunerError
    with pytest.raises(error, match="classifier" if error is KeyError else CHANGES[change]):
        WAYS[way](make_bert(head=True), folder)


@pytest.mark.parametrize("case", ["iaa_l", "lora"])
@pytest.mark.parametrize("peft_model", [False, True])
def test_an_exact_adapter_is_loaded_and_computes_what_was_saved(
    make_bert: Callable[..., Any], make_saved: Callable[[str], Path], batch: Any, case: str, peft_model: bool
) -> None:
    folder = make_saved(case)
    expected = PeftModel.from_pretrained(make_bert(head=True), str(folder)).eval()(**batch)[0]
    model = make_bert(head=True)
    if peft_model:
        type, knobs = CASES[case]
        model = get_peft_model(model, make_config(type, model, **knobs), adapter_name="other")
    load(model, folder, adapter_name="task")
    model.set_adapter("task")
    assert torch.equal(model.eval()(**batch)[0], expected)
    with pytest.raises(TunerError, match=r"^adapter_name: got 'task', but the model has an adapter of that"):
        load(model, folder, adapter_name="task")


def test_an_adapter_is_verified_against_its_folder(
    make_bert: Callable[..., Any], make_saved: Callable[[str], Path]
) -> None:
    folder, model = make_saved("lora"), make_bert(head=True)
    with pytest.raises(TunerError, match=r"^adapter_name: got 'default', expected the name of an adapter"):
        verify(model, folder)
    model.load_adapter(str(folder))
    verify(model, folder)
    rewrite(folder, lambda weights: weights[inner(weights)].add_(1e-3))
    with pytest.raises(TunerError, match=r"layer\.1.* has other values than on the model"):
        verify(model, folder)
    rewrite(folder, lambda weights: weights[inner(weights)].fill_(torch.nan))
    load(make_bert(head=True), folder)


def test_weights_are_set_exactly_and_other_types_as_peft_does(
    make_bert: Callable[..., Any], make_saved: Callable[[str], Path]
) -> None:
    folder, bare = make_saved("iaa_l"), make_bert(head=True)
    type, knobs = CASES["iaa_l"]
    model = get_peft_model(bare, make_config(type, bare, **knobs))
    weights = load_peft_weights(str(folder), device="cpu")
    set_peft_model_state_dict(model, weights)
    remove(weights)
    with pytest.raises(TunerError, match="1 missing"):
        set_peft_model_state_dict(model, weights)
    # A LoRA beside it on the same model is loaded as anywhere.
    other, host = make_saved("lora"), make_bert(head=True)
    host.load_adapter(str(folder), adapter_name="ours")
    rewrite(other, remove)
    host.load_adapter(str(other), adapter_name="theirs")


def test_a_copy_of_a_model_loads_for_itself(
    make_bert: Callable[..., Any], make_saved: Callable[[str], Path], batch: Any
) -> None:
    folder, model = make_saved("iaa_l"), make_bert(head=True)
    model.load_adapter(str(folder), adapter_name="one")
    twin = copy.deepcopy(model)
    twin.load_adapter(str(folder), adapter_name="two")
    assert list(model.peft_config) == ["one"]
    twin.set_adapter("two")
    assert torch.equal(twin.eval()(**batch)[0], model.eval()(**batch)[0])
