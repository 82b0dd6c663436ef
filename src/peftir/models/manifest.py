"""Library defaults that affect a model's outputs: fixed here, and recorded with each saved model.

Otherwise outputs would depend on a machine's versions, files and settings: transformers loads weights in the
dtype of their file, selects the attention by the installed packages, and does not save a tokenizer's padding
side. This module fixes these choices, and :data:`FILE` in a model's folder records them, in sections. It
contains no dates and no paths but a backbone's in the study, so the file is byte-identical in every run.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling

from peftir.models.ending import appended_token
from peftir.models.loading import weights_of_backbone
from peftir.models.sides import modules_of, tuned_sides
from peftir.system.files import write_json

FILE = "manifest.json"

Sections = dict[str, dict[str, Any]]

TRUNCATION = "longest_first"
"""The longer text of a pair is truncated first; the side is the tokenizer's own, and recorded."""

RULES = {
    # bfloat16, if set, applies only to the encoder: see peftir.models.precision.
    "pooling, similarities, head, loss, scores": "float32",
    "products of float32": "float32, no TF32",
    "sums of bfloat16 products": "float32",
    "equal scores": "by descending document id, as in trec_eval",
    # These affect the last bits only and are not recorded. The number of threads is a setting.
    "left to the machine": "kind of processor, kernel of the attention",
}

LIBRARIES = ("peft", "sentence-transformers", "tokenizers", "torch", "transformers")


def forbid_reduced_precision() -> None:
    """Compute float32 products in full precision in this process: no TF32, no bfloat16 reductions."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def describe(model: SentenceTransformer | CrossEncoder) -> Sections:
    """The sections of the manifest that describe ``model``."""
    module = next(iter(modules_of(model).values()))
    tokenizer = model.tokenizer
    return {
        "weights": _weights(module.model),
        "tokens": {
            "padding_side": tokenizer.padding_side,
            "padding_token": tokenizer.pad_token,
            "special_tokens": True,
            "truncation": TRUNCATION,
            "truncation_side": tokenizer.truncation_side,
            **_ending(tokenizer),
            **_lengths(model),
        },
        "output": _output(model),
        "rules": RULES,
        # Without the build tag, such as +cpu.
        "libraries": {name: version(name).partition("+")[0] for name in LIBRARIES},
    }


def write(folder: Path, sections: Sections) -> None:
    """Write the manifest of the model in ``folder``."""
    write_json(folder / FILE, sections)


def read(folder: Path) -> Sections:
    """The manifest of the model in ``folder``.

    Raises:
        ValueError: the file is damaged.
        OSError: the file is missing or unreadable.
    """
    sections = json.loads((folder / FILE).read_text(encoding="utf-8"))
    for section in ("backbone", "weights"):
        if not isinstance(sections, dict) or section not in sections:
            raise ValueError(f"{FILE}: no section {section}")
    return sections


def is_reranker(recorded: Sections) -> bool:
    """Whether a manifest is that of a re-ranker, which reads pairs, and not of a retriever."""
    return "length" in recorded.get("tokens", {})


def compare(model: SentenceTransformer | CrossEncoder, recorded: Sections) -> None:
    """Raise an error if a loaded ``model`` differs from its manifest.

    Raises:
        ValueError: names the section and the key. Library versions are not compared.
    """
    found = describe(model)
    for section in ("weights", "tokens", "output"):
        for key, value in recorded.get(section, {}).items():
            if found[section].get(key) != value:
                raise ValueError(
                    f"{FILE}: {section}.{key} is {value!r}, loaded was {found[section].get(key)!r}"
                )


def _weights(transformer: Any) -> dict[str, Any]:
    """The format of the frozen weights, for 4 bits that of the products with them, and the attention."""
    config = transformer.config
    weights = {"dtype": weights_of_backbone(transformer), "attention": config._attn_implementation}
    if weights["dtype"] == "nf4":
        weights["products"] = str(config.quantization_config.bnb_4bit_compute_dtype).removeprefix("torch.")
    return weights


def _ending(tokenizer: Any) -> dict[str, Any]:
    """The end-of-text token, if the tokenizer appends it to each text."""
    appended = appended_token(tokenizer)
    ends = appended is not None and appended == tokenizer.eos_token_id
    return {"appended_token": tokenizer.eos_token} if ends else {}


def _lengths(model: SentenceTransformer | CrossEncoder) -> dict[str, int]:
    if isinstance(model, CrossEncoder):
        return {"length": model.max_length}
    module = next(iter(modules_of(model).values()))
    return {"query_length": module.query_length, "document_length": module.document_length}


def _output(model: SentenceTransformer | CrossEncoder) -> dict[str, Any]:
    """The manifest's section about the layers after the encoder."""
    if isinstance(model, CrossEncoder):
        return {"head": "one score, not squashed"}
    pooling = next((module.pooling_mode for module in model if isinstance(module, Pooling)), None)
    sides = tuned_sides(model)
    dense = [[module.in_features, module.out_features] for module in model if isinstance(module, Dense)]
    return {
        "pooling": pooling,
        "similarity": model.similarity_fn_name,
        **({"dense": dense} if dense else {}),
        **({} if sides == "both" else {"tune": sides}),
    }
