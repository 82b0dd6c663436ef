"""Every library default that decides a model's numbers: chosen here, and written down with each saved model.

What is loaded, tokenized and computed otherwise follows from the versions, files and settings of a machine:
transformers loads weights in whatever number format their file has, takes the attention that fits what is
installed, and keeps the side that a tokenizer pads on in memory alone. So this module chooses, and
:data:`FILE` in a model's folder records what was chosen, in sections. The record holds no dates, no
paths but a backbone's in the study, and of the machine nothing but what decides the numbers: its bytes are
those of the next run.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import nn
from transformers import MODEL_MAPPING, AutoConfig

from peftir.system.errors import PeftirError
from peftir.system.files import write_json

FILE = "manifest.json"

Sections = dict[str, dict[str, Any]]

TOKENIZER = {"padding_side": "right"}
"""How tokenizers are loaded. BERT numbers the columns of a batch and its head reads the first one, padding or
not, so that on the left a text's numbers would depend on the texts beside it."""

TRUNCATION = "longest_first"
"""Of a pair that is too long the longer text is cut; from which end is the tokenizer's own, and recorded."""

RULES = {
    # bfloat16, where it is chosen, is the encoder's alone: see peftir.models.precision.
    "pooling, similarities, head, loss, scores": "float32",
    "products of float32": "float32, no TF32",
    "sums of bfloat16 products": "float32",
    "equal scores": "by descending document id, as in trec_eval",
    # Last bits only; what the machine is has no place in the folder. How many threads is a setting.
    "left to the machine": "kind of processor, kernel of the attention",
}

LIBRARIES = ("peft", "sentence-transformers", "tokenizers", "torch", "transformers")


def loading(folder: Path | str) -> dict[str, Any]:
    """How transformers is to load the weights of the backbone in ``folder``: ``from_pretrained``'s arguments.

    The attention is torch's own (``sdpa``) in the families that have it, also where a faster one is installed
    or the backbone's configuration names another.
    """
    family: Any = MODEL_MAPPING.get(type(AutoConfig.from_pretrained(folder)), None)
    has_sdpa = family is None or family._supports_sdpa
    return {"dtype": "float32", "attn_implementation": "sdpa" if has_sdpa else "eager"}


def forbid_reduced_precision() -> None:
    """Let float32 mean float32 in this process: no TF32 or bfloat16 inside products, whatever the default."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def refuse_other_formats(model: nn.Module, name: str) -> None:
    """Raise an error unless all weights of ``model`` are float32.

    Raises:
        PeftirError: names the first that is not; ``name`` says what was loaded.
    """
    for weight_name, weight in model.named_parameters():
        if weight.dtype != torch.float32:
            raise PeftirError(
                f"{name}: weight {weight_name} is {str(weight.dtype).removeprefix('torch.')}, expected "
                "float32, in which all weights are trained; name a backbone that is not quantized"
            )


def describe(model: SentenceTransformer | CrossEncoder) -> Sections:
    """What was chosen for ``model``, in sections."""
    module: Any = model[0]
    tokenizer, config = model.tokenizer, module.model.config
    return {
        "weights": {"dtype": "float32", "attention": config._attn_implementation},
        "tokens": {
            "padding_side": tokenizer.padding_side,
            "padding_token": tokenizer.pad_token,
            "special_tokens": True,
            "truncation": TRUNCATION,
            "truncation_side": tokenizer.truncation_side,
            **_lengths(model),
        },
        "output": _output(model),
        "rules": RULES,
        # Without what marks a build, such as +cpu.
        "libraries": {name: version(name).partition("+")[0] for name in LIBRARIES},
    }


def write(folder: Path, sections: Sections) -> None:
    """Write the manifest of the model in ``folder``."""
    write_json(folder / FILE, sections)


def read(folder: Path) -> Sections:
    """The manifest of the model in ``folder``.

    Raises:
        ValueError: it is damaged.
        OSError: it is missing or cannot be read.
    """
    sections = json.loads((folder / FILE).read_text(encoding="utf-8"))
    for section in ("backbone", "weights"):
        if not isinstance(sections, dict) or section not in sections:
            raise ValueError(f"{FILE}: no section {section}")
    return sections


def compare(model: SentenceTransformer | CrossEncoder, recorded: Sections) -> None:
    """Raise an error if a loaded ``model`` differs from what its manifest records.

    Raises:
        ValueError: names the section and the key. Versions of libraries may differ.
    """
    found = describe(model)
    for section in ("weights", "tokens", "output"):
        for key, value in recorded.get(section, {}).items():
            if found[section].get(key) != value:
                raise ValueError(
                    f"{FILE}: {section}.{key} is {value!r}, loaded was {found[section].get(key)!r}"
                )


def _lengths(model: SentenceTransformer | CrossEncoder) -> dict[str, int]:
    module: Any = model[0]
    if isinstance(model, CrossEncoder):
        return {"length": model.max_length}
    return {"query_length": module.query_length, "document_length": module.document_length}


def _output(model: SentenceTransformer | CrossEncoder) -> dict[str, Any]:
    """What is made of the encoder's hidden states."""
    if isinstance(model, CrossEncoder):
        return {"head": "one score, not squashed"}
    pooling = next((module.pooling_mode for module in model if isinstance(module, Pooling)), None)
    return {"pooling": pooling, "similarity": model.similarity_fn_name}
