"""BERT with every method as plain tensor algebra, written from the papers' figures.

Reads weights by name from a state dictionary; calls no module of torch, transformers or peftir.
"""

from __future__ import annotations

import math

import torch

Weights = dict[str, torch.Tensor]


def gelu(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def relu(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.0)


def bias(w: Weights, name: str) -> torch.Tensor:
    """A bias, with BitFit's change where there is one."""
    change = f"{name}.bias_change.tuned_bias.default"
    return w[f"{name}.bias"] + w[change] if change in w else w[f"{name}.bias"]


def affine(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ w[f"{name}.weight"].T + bias(w, name)


def layer_norm(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-12) * w[f"{name}.weight"] + bias(w, name)


def bottleneck(w: Weights, name: str, x: torch.Tensor, nonlinearity=gelu) -> torch.Tensor:
    hidden = nonlinearity(x @ w[f"{name}.tuned_down.default.weight"].T + w[f"{name}.tuned_down.default.bias"])
    return hidden @ w[f"{name}.tuned_up.default.weight"].T + w[f"{name}.tuned_up.default.bias"]


def low_rank(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    """LoRA's update of a projection with alpha = 2·rank; zero where there is none."""
    if f"{name}.low_rank.tuned_down.default.weight" not in w:
        return torch.zeros(())
    down, up = (w[f"{name}.low_rank.tuned_{way}.default.weight"] for way in ("down", "up"))
    return 2.0 * (x @ down.T @ up.T)


def attend(w: Weights, name: str, x: torch.Tensor, mask: torch.Tensor, heads: int) -> torch.Tensor:
    batch, length, d = x.shape

    def split(y: torch.Tensor) -> torch.Tensor:
        return y.view(y.shape[0], -1, heads, d // heads).transpose(1, 2)

    query = affine(w, f"{name}.query", x) + low_rank(w, f"{name}.query", x)
    key = affine(w, f"{name}.key", x)
    value = affine(w, f"{name}.value", x) + low_rank(w, f"{name}.value", x)
    visible = mask.bool()
    if f"{name}.prefix.tuned_key.default" in w:
        before = w[f"{name}.prefix.tuned_key.default"], w[f"{name}.prefix.tuned_value.default"]
        key = torch.cat([before[0].expand(batch, -1, -1), key], 1)
        value = torch.cat([before[1].expand(batch, -1, -1), value], 1)
        visible = torch.cat([torch.ones(batch, len(before[0]), dtype=torch.bool), visible], 1)
    scores = split(query) @ split(key).transpose(2, 3) / math.sqrt(d // heads)
    scores = scores.masked_fill(~visible[:, None, None, :], float("-inf"))
    exponents = torch.exp(scores - scores.max(-1, keepdim=True).values)
    context = exponents / exponents.sum(-1, keepdim=True) @ split(value)
    return context.transpose(1, 2).reshape(batch, length, d)


def encode(
    w: Weights,
    ids: torch.Tensor,
    mask: torch.Tensor,
    *,
    layers: int,
    heads: int,
    adapters: bool = False,
    parallel: float = 0,
    sublayer_asides: bool = False,
    layer_asides: bool = False,
    stack_aside: bool = False,
) -> torch.Tensor:
    """The last hidden states, ``(batch, length, d)``; ``parallel`` is the scale of MAM's adapters.

    A prefix, LoRA's update and changes of biases come in where ``w`` has their weights.
    """
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][torch.arange(ids.shape[1])]
    x = layer_norm(w, "embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    x0 = x
    for index in range(layers):
        name = f"encoder.layer.{index}"
        y = affine(w, f"{name}.attention.output.dense", attend(w, f"{name}.attention.self", x, mask, heads))
        if adapters:
            y = y + bottleneck(w, f"{name}.attention.output.dropout.adapter", y)
        middle = layer_norm(w, f"{name}.attention.output.LayerNorm", x + y)
        if sublayer_asides:
            middle = middle + bottleneck(w, f"{name}.attention.aside", x)
        y = affine(w, f"{name}.output.dense", gelu(affine(w, f"{name}.intermediate.dense", middle)))
        if adapters:
            y = y + bottleneck(w, f"{name}.output.dropout.adapter", y)
        if parallel:
            y = y + parallel * bottleneck(w, f"{name}.output.dropout.parallel_adapter", middle, relu)
        out = layer_norm(w, f"{name}.output.LayerNorm", middle + y)
        if sublayer_asides:
            out = out + bottleneck(w, f"{name}.output.aside", middle)
        if layer_asides:
            out = out + bottleneck(w, f"{name}.aside", x)
        x = out
    if stack_aside:
        x = x + bottleneck(w, f"encoder.layer.{layers - 1}.stack_aside", x0)
    return x
