"""Training in other ways comes to the same, and the asides are a path for the gradient."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cases import ADMITTED, CASES, CONFIGS
from tiny import stir, tiny_config, tiny_model

from peftir.tuners import attach
from training import losses, start

# Of a loss in float32: its unit is 6e-8, and what a loss is the mean of has gone through some 1e2 operations.
ROUNDING = 1e-5

CHECKPOINTED = [(family, case) for family, case in ADMITTED if family != "mpnet"]  # has no checkpointing


@pytest.mark.parametrize(("family", "case"), CHECKPOINTED)
def test_gradient_checkpointing_trains_to_the_same_loss(family, case):
    expected = losses(start(family, case))
    model = start(family, case)
    model.gradient_checkpointing_enable()
    assert losses(model) == expected  # the same operations once more


def test_transformers_refuses_gradient_checkpointing_where_a_family_has_none():
    with pytest.raises(ValueError, match=r"MPNetModel does not support \w+ checkpointing"):
        start("mpnet", "iaa_l").gradient_checkpointing_enable()


# PEFT's LoHa returns float32 under autocast, and DeBERTa-v2's attention then stops with an error of torch.
ROUNDED = [each for each in ADMITTED if each != ("deberta-v2", "peft")]


@pytest.mark.parametrize(("family", "case"), ROUNDED)
def test_bf16_autocast_trains_to_the_same_loss_within_rounding(family, case):
    expected = losses(start(family, case))
    model = start(family, case)
    # A context for each run: within one, autocast keeps its copies of the weights through optimizer steps.
    rounded = losses(model, torch.autocast("cpu", torch.bfloat16)(model))
    assert rounded != expected
    # A rounding is up to 2^-9; hidden states have some 20 in a row, and the loss is the mean of 128 squares.
    assert rounded == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("family", "case"), ADMITTED)
def test_a_backbone_in_half_precision_is_taken_as_it_is(family, case, batch):
    type, knobs = CASES[case]
    model = tiny_model(CONFIGS[family]).to(torch.bfloat16)
    attach(model, type, **knobs)
    stir(p for p in model.parameters() if p.requires_grad)
    assert model(**batch)[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("family", "case"),
    [
        *(("bert", case) for case in ("bitfit", "prefix", "adapter", "iaa_l", "iaa_s_mam")),
        ("distilbert", "iaa_s"),
        ("modernbert", "iaa_m"),
    ],
)
def test_a_compiled_model_is_one_graph_and_trains_to_the_same_loss(family, case):
    torch.compiler.reset()
    expected = losses(start(family, case))
    model = start(family, case)
    # The graph and its gradients, without the minute of C++ compiling that the default backend takes.
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert losses(model, compiled) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile's backend needs a C++ compiler"
)
@pytest.mark.skipif(" " in torch.__file__, reason="torch does not quote its own folder to the compiler")
def test_a_model_compiled_to_machine_code_trains_to_the_same_loss(tmp_path, monkeypatch):
    # One method, since the C++ compiler takes half a minute. torch's cache, which all of a user's processes
    # share, does not tell ATEN_CPU_CAPABILITY apart.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    expected = losses(start("bert", "iaa_l"))
    model = start("bert", "iaa_l")
    assert losses(model, torch.compile(model, fullgraph=True)) == pytest.approx(expected, rel=ROUNDING)


IN_TWO_PROCESSES = [
    *(f"bert/{case}/bi" for case in ("full", *CASES)),
    *(f"bert/{case}/cross" for case in ("full", "lora", "bitfit", "iaa_s_mam")),
    "distilbert/iaa_s/bi",
    "modernbert/iaa_m/cross",
]


def test_two_processes_train_to_the_same_loss():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = Path(__file__).with_name("training.py")
    ranks = [
        subprocess.Popen(
            [sys.executable, script, *IN_TWO_PROCESSES],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            },
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=120) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    reported = dict(line.split(": ") for line in outputs[0][0].splitlines())
    assert list(reported) == IN_TWO_PROCESSES
    for name, values in reported.items():
        family, case, stage = name.split("/")
        expected = losses(start(family, case, head=stage == "cross"))
        assert [float(value) for value in values.split()] == pytest.approx(expected, rel=ROUNDING), name


def first_layer_gradients(case: str, batch: dict[str, torch.Tensor]) -> float:
    """The norm of the gradient in the first layer when no frozen part of the second lets any through."""
    type, knobs = CASES[case]
    model = tiny_model(tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    attach(model, type, **knobs)
    stir(p for p in model.parameters() if p.requires_grad)
    second = model.encoder.layer[1]
    frozen = {
        "iaa_s": [second.attention, second.intermediate, second.output],
        "iaa_s_alone": [second.attention, second.intermediate, second.output],
    }.get(case, [second])
    for module in frozen:
        cut(module)
    model(**batch)[0].square().sum().backward()
    gradients = [
        p.grad
        for name, p in model.named_parameters()
        if name.startswith("encoder.layer.0.") and p.grad is not None
    ]
    return float(sum(gradient.square().sum() for gradient in gradients)) ** 0.5


def cut(module: torch.nn.Module) -> None:
    """Let no gradient pass from a module's output to its input; what is around it still has both."""
    whole = module.forward

    def forward(*args, **kwargs):
        return whole(*(a.detach() if isinstance(a, torch.Tensor) else a for a in args), **kwargs)

    module.forward = forward


@pytest.mark.parametrize("case", ["iaa_s", "iaa_l", "iaa_s_alone", "iaa_l_alone", "iaa_l_lora"])
def test_asides_let_the_gradient_around_the_frozen_layers(case, batch):
    assert first_layer_gradients(case, batch) > 1e-3


@pytest.mark.parametrize("case", ["adapter", "lora", "prefix", "mam", "bitfit"])
def test_without_asides_there_is_no_way_around(case, batch):
    assert first_layer_gradients(case, batch) == 0


def test_the_one_aside_of_iaa_m_starts_before_the_first_layer(batch):
    # It joins the embeddings to the end; the first layer's modules lie beside it.
    assert first_layer_gradients("iaa_m", batch) == 0
