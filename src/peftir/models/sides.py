"""The sides of a bi-encoder, queries and documents: one transformers model for both, or one for each.

With one for each, the model's first module is a ``Router`` of sentence-transformers, with a route per side.
It has no default route, so a text without a task is an error and not encoded by the wrong side.

A saved model's folder is the bi-encoder of its queries, and has that of its documents in ``document/``. A
``Router`` is not saved: sentence-transformers cannot load adapters inside one.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Router, Transformer
from torch import nn
from transformers import PreTrainedModel

from peftir import tuners
from peftir.tuners.untouched import is_untouched, leave_untouched

Tune = Literal["both", "query", "separate"]
BOTH = ""
"""The name of the side where one transformers model encodes queries and documents, or scores pairs."""


def with_sides(transformer: Transformer, tune: Tune) -> Transformer | Router:
    """The first module of a bi-encoder whose sides are tuned as ``tune`` says.

    Args:
        transformer: a backbone that is not tuned yet; it is the query side.
        tune: ``both`` for one transformers model, ``separate`` for a copy of it for the documents, ``query``
            for a copy that no method changes.
    """
    if tune == "both":
        return transformer
    document = copy.deepcopy(transformer)
    if tune == "query":
        leave_untouched(document.model)
    return joined(transformer, document)


def joined(query: Any, document: Any) -> Router:
    """The two sides as one module, with one tokenizer."""
    document.processor = query.processor
    return Router({"query": [query], "document": [document]}, default_route=None, allow_empty_key=False)


def alone(model: Any, side: str) -> Any:
    """The bi-encoder of one ``side`` of ``model``; ``model`` itself if it has no sides."""
    if side == BOTH:
        return model
    return SentenceTransformer(
        modules=[modules_of(model)[side], *list(model)[1:]],
        similarity_fn_name=model.similarity_fn_name,
        prompts=model.prompts,
    )


def modules_of(model: SentenceTransformer | CrossEncoder) -> dict[str, Any]:
    """The module with the transformers model of each side: ``query`` and ``document``, or ``BOTH``."""
    first: Any = model[0]
    if isinstance(first, Router):
        sub_modules: dict[str, Any] = dict(first.sub_modules.items())
        return {side: modules[0] for side, modules in sub_modules.items()}
    return {BOTH: first}


def transformers_of(model: SentenceTransformer | CrossEncoder) -> dict[str, Any]:
    """The transformers model of each side, by side."""
    return {side: module.model for side, module in modules_of(model).items()}


def tunable_of(model: SentenceTransformer | CrossEncoder) -> dict[str, Any]:
    """The transformers models that a method is attached to, by side."""
    return {side: encoder for side, encoder in transformers_of(model).items() if not is_untouched(encoder)}


def untouched_of(model: nn.Module) -> Any:
    """The transformers model of the side that no method changes; ``None`` if there is no such side."""
    parts = (part for part in model.modules() if isinstance(part, PreTrainedModel))
    return next(filter(is_untouched, parts), None)


def tuned_sides(model: SentenceTransformer | CrossEncoder) -> Tune:
    """How the sides of ``model`` are tuned."""
    encoders = transformers_of(model)
    if len(encoders) == 1:
        return "both"
    return "query" if is_untouched(encoders["document"]) else "separate"


def share_frozen(model: SentenceTransformer | CrossEncoder) -> None:
    """Let the sides of ``model`` share the memory of weights that are equal and trained in neither."""
    frozen: dict[str, Any] = {}
    for encoder in transformers_of(model).values():
        for name, weight in encoder.named_parameters():
            if not weight.requires_grad:
                first = frozen.setdefault(name.replace(".base_layer", ""), weight)
                if first is not weight and torch.equal(first, weight):
                    weight.data = first.data


def side_folder(folder: Path, side: str) -> Path:
    """The folder of a side in a saved model's ``folder``."""
    return folder / side if side == "document" else folder


def side_folders(folder: Path) -> dict[str, Path]:
    """The folders of a saved model's sides, by side."""
    sides = ("query", "document") if side_folder(folder, "document").is_dir() else (BOTH,)
    return {side: side_folder(folder, side) for side in sides}


def count(model: SentenceTransformer | CrossEncoder) -> tuners.Weights:
    """Count the parameters of ``model``: trained ones of both sides together, the backbone's once.

    The Dense layers of a bi-encoder are part of the backbone.
    """
    counts = [tuners.count(encoder) for encoder in transformers_of(model).values()]
    dense = list(layers_after(model).parameters())
    trained = sum(weight.numel() for weight in dense if weight.requires_grad)
    return tuners.Weights(
        trained=sum(each.trained for each in counts) + trained,
        trained_as_paper=sum(each.trained_as_paper for each in counts) + trained,
        head=counts[0].head,
        backbone=counts[0].backbone + sum(weight.numel() for weight in dense),
    )


def layers_after(model: SentenceTransformer | CrossEncoder) -> nn.Module:
    """The modules of ``model`` after the transformers model: pooling, Dense layers and normalization."""
    return nn.ModuleList(list(model)[1:])
