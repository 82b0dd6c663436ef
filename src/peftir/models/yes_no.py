"""A causal language model that answers yes or no, such as Qwen3-Reranker, as a cross-encoder.

The score is the difference of two logits at the last token: those of the words for yes and for no. It is a
linear function of the last hidden state, so it is a classification head with one output. The prompt is a
template of the tokenizer, around a query and a document.
"""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

from safetensors import safe_open
from tokenizers import normalizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from peftir.models.templates import Template
from peftir.study.starts import YesNoParams
from peftir.system.errors import PeftirError

LM_HEAD = "lm_head.weight"


def with_prompt(tokenizer: Any, prompt: str) -> PreTrainedTokenizerFast:
    """A tokenizer that puts ``prompt`` around each pair, as special tokens; a single text stays as it is.

    The special tokens that ``tokenizer`` puts before each text, as Llama's does, are before the prompt,
    unless it begins with them. A space before both ``{query}`` and ``{document}`` belongs to the texts, as in
    byte-level tokenizers, where a word and the space before it are one token.

    Raises:
        PeftirError: ``tokenizer`` is not one of the library tokenizers.
    """
    if not tokenizer.is_fast:
        raise PeftirError(
            f"reranker.yes_no: {tokenizer.name_or_path}: expected a tokenizer with a tokenizer.json"
        )
    before, _, rest = prompt.partition("{query}")
    between, _, after = rest.partition("{document}")
    spaced = before.endswith(" ") and between.endswith(" ")
    if spaced:
        before, between = before[:-1], between[:-1]
    parts = {"BEFORE": before, "BETWEEN": between, "AFTER": after}
    ids = {name: tokenizer(text, add_special_tokens=False)["input_ids"] for name, text in parts.items()}
    leading = [id for id, _ in takewhile(lambda part: part[0] is not None, Template.of(tokenizer, 1).parts)]
    if ids["BEFORE"][: len(leading)] != leading:
        ids["BEFORE"] = leading + ids["BEFORE"]
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    if spaced:
        own = [] if backend.normalizer is None else [backend.normalizer]
        backend.normalizer = normalizers.Sequence([*own, normalizers.Prepend(" ")])
    given = {name: found for name, found in ids.items() if found}
    order = ("BEFORE", "$A", "BETWEEN", "$B", "AFTER")
    backend.post_processor = processors.TemplateProcessing(
        single="$A",
        pair=[part for part in order if part.startswith("$") or part in given],
        special_tokens=[
            {"id": name, "ids": found, "tokens": tokenizer.convert_ids_to_tokens(found)}
            for name, found in given.items()
        ],
    )
    special = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, padding_side="right", model_max_length=tokenizer.model_max_length, **special
    )


def answer_weights(folder: Path, embeddings: Tensor, tokenizer: Any, answers: YesNoParams) -> Tensor:
    """The weights of the head, ``[1, d]``: the row of the word for yes, minus that of the word for no.

    Args:
        folder: the causal language model.
        embeddings: its embeddings, ``[vocabulary, d]``, which are its head's weights if these are tied.
        tokenizer: its tokenizer.
        answers: has the two words.

    Raises:
        PeftirError: a word is not one token, or the logits are not linear in the hidden states.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("final_logit_softcapping"):
        raise PeftirError(
            f"{folder / 'config.json'}: final_logit_softcapping: {config['final_logit_softcapping']}: "
            "expected none, since a head cannot cap two logits"
        )
    ids = []
    for key, word in (("yes", answers.yes), ("no", answers.no)):
        found = tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(found) != 1:
            raise PeftirError(
                f"reranker.yes_no.{key}: {word!r}: is {len(found)} tokens of {folder}; expected one"
            )
        ids += found
    head = _stored(folder, LM_HEAD)
    rows = (embeddings if head is None else head)[ids].float()
    return rows[:1] - rows[1:]


def _stored(folder: Path, name: str) -> Tensor | None:
    """The weight ``name`` in the files of ``folder``; ``None`` if it is not there, as a tied one."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            if name in weights.keys():  # noqa: SIM118 (not a dictionary)
                return weights.get_tensor(name)
    return None
