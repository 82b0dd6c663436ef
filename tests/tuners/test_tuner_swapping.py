"""Several tuned tasks on one backbone in memory, switched by name or mixed in one batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cases import ALL, CASES, CONFIGS, NOT_ZERO
from peft import get_peft_model
from safetensors.torch import load_file
from tiny import assert_close, stir, tiny_model
from transformers import AutoModel, AutoModelForSequenceClassification

from peftir.tuners import TunerError, attach, load, make_config


def add(model, case, seed):
    type, knobs = CASES[case]
    task = f"task_{case}"
    torch.manual_seed(seed)
    model.add_adapter(make_config(type, model, **knobs), adapter_name=task)
    stir((p for n, p in model.named_parameters() if task in n.split(".")), seed=seed)


@pytest.mark.parametrize("order", [list(CASES), list(reversed(CASES))], ids=["in order", "reversed"])
@pytest.mark.parametrize("head", [False, True], ids=["bi", "cross"])
def test_every_method_on_one_backbone(make_bert, batch, head, order):
    alone = {}
    for seed, case in enumerate(order):
        model = make_bert(head)
        add(model, case, seed)
        alone[case] = model.eval()(**batch)[0]

    model = make_bert(head)
    plain = model(**batch)[0]
    for seed, case in enumerate(order):
        add(model, case, seed)
    model.eval()
    for case in [*order, *reversed(order)]:
        model.set_adapter(f"task_{case}")
        assert torch.equal(model(**batch)[0], alone[case]), case
    model.disable_adapters()
    assert torch.equal(model(**batch)[0], plain)


@pytest.mark.parametrize("order", [["bitfit", "lora"], ["lora", "bitfit"]], ids=" then ".join)
def test_biases_are_trained_and_saved_beside_lora_as_without_it(make_bert, batch, tmp_path, order):
    alone, both = make_bert(), make_bert()
    add(alone, "bitfit", seed=1)
    for case in order:
        add(both, case, seed=1)
    for name, model in (("alone", alone), ("both", both)):
        model.set_adapter("task_bitfit")
        model.save_pretrained(tmp_path / name)
    files = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("alone", "both")]
    assert files[0].keys() == files[1].keys()
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])


def saved(folder: Path, family: str, case: str, head: bool, seed: int = 1):
    """A tuned model as training leaves it, saved to ``folder``."""
    auto = AutoModelForSequenceClassification if head else AutoModel
    type, knobs = ALL[case]
    torch.manual_seed(seed)
    model = auto.from_pretrained(folder.parent / "backbone", num_labels=1)
    attach(model, type, **knobs)
    stir((p for p in model.parameters() if p.requires_grad), seed=seed)
    model.save_pretrained(folder)
    return model.eval()


PAIRS = [
    ("bert", "lora", "lora"),  # the same type on both: weights of one are not missed in the other's file
    ("bert", "ia3", "ia3"),
    ("bert", "iaa_l", "iaa_l"),
    ("bert", "lora", "bitfit"),
    ("bert", "bitfit", "lora"),
    ("bert", "prefix", "iaa_s_mam"),
    ("roberta", "adapter", "iaa_m"),
    ("modernbert", "mam", "iaa_s"),
    ("qwen3", "lora", "adapter"),
]


@pytest.mark.parametrize(("family", "bi", "cross"), PAIRS)
def test_one_backbone_serves_retrievers_and_rerankers(family, bi, cross, batch, tmp_path):
    tiny_model(CONFIGS[family]).save_pretrained(tmp_path / "backbone")
    alone = {
        "retriever": saved(tmp_path / "retriever", family, bi, head=False),
        "other": saved(tmp_path / "other", family, bi, head=False, seed=2),
        "reranker": saved(tmp_path / "reranker", family, cross, head=True, seed=3),
    }
    reranker = AutoModelForSequenceClassification.from_pretrained(tmp_path / "backbone", num_labels=1)
    retriever = reranker.base_model
    hosts = {"retriever": retriever, "other": retriever, "reranker": reranker}
    for name, host in hosts.items():
        load(host, tmp_path / name, adapter_name=name)
    for name in ("reranker", "retriever", "reranker", "other", "retriever"):
        hosts[name].set_adapter(name)
        assert torch.equal(hosts[name](**batch)[0], alone[name](**batch)[0]), name


def test_a_retriever_is_no_reranker(batch, tmp_path):
    tiny_model(CONFIGS["bert"]).save_pretrained(tmp_path / "backbone")
    saved(tmp_path / "retriever", "bert", "iaa_l", head=False)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "backbone", num_labels=1)
    with pytest.raises(TunerError, match=r"classifier.*load what has no head onto model\.base_model"):
        model.load_adapter(tmp_path / "retriever", adapter_name="retriever")


# Of its own types, PEFT mixes the adapters of LoRA alone; LoHa ignores the names.
MIXED = [case for case in CASES if case not in NOT_ZERO and case not in ("ia3", "peft")]


def two_tasks(make_bert, case, head):
    """A PEFT model with two adapters of one type."""
    type, knobs = CASES[case]
    bert = make_bert(head)
    model = get_peft_model(bert, make_config(type, bert, **knobs), adapter_name="first")
    model.add_adapter("second", make_config(type, model.get_base_model(), **knobs))
    for seed, task in enumerate(("first", "second")):
        stir((p for n, p in model.named_parameters() if task in n.split(".")), seed=seed)
    return model.eval()


@pytest.mark.parametrize("case", MIXED)
@pytest.mark.parametrize("head", [False, True], ids=["bi", "cross"])
def test_the_texts_of_a_batch_may_have_different_adapters(make_bert, batch, head, case):
    model = two_tasks(make_bert, case, head).double()
    names = ["second", "__base__", "first"]
    mixed = model(**batch, adapter_names=names)[0]
    expected = {}
    for name in ("first", "second"):
        model.set_adapter(name)
        expected[name] = model(**batch)[0]
    with model.disable_adapter():
        expected["__base__"] = model(**batch)[0]
    for row, name in enumerate(names):
        assert_close(mixed[row], expected[name][row])
    assert torch.equal(model(**batch)[0], expected["second"])  # and nothing of it is left


def test_a_wrong_mixture_is_refused(make_bert, batch):
    model = two_tasks(make_bert, "adapter", head=False)
    for names, reason in (
        (["first", "third", "first"], r"got 'third', expected names of first, second, __base__"),
        (["first", "second"], r"got 2 for 3 texts"),
    ):
        with pytest.raises(TunerError, match=f"^adapter_names: {reason}"):
            model(**batch, adapter_names=names)
    with pytest.raises(TunerError, match=r"^adapter_names: .*training mode"):
        model.train()(**batch, adapter_names=["first"] * 3)


@pytest.mark.parametrize("case", sorted(NOT_ZERO))
def test_prefixes_are_not_mixed_in_one_batch(make_bert, batch, case):
    model = two_tasks(make_bert, case, head=False)
    with pytest.raises(TunerError, match=r"^adapter_names: .*prefixes may differ in length"):
        model(**batch, adapter_names=["first", "second", "first"])
