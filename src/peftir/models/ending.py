"""The end-of-text token that a tokenizer appends to each text, and the padding token, which must differ."""

from __future__ import annotations

from typing import Any

from tokenizers import processors

from peftir.models.templates import Template
from peftir.system.errors import PeftirError


def append_eos(tokenizer: Any) -> None:
    """Make ``tokenizer`` append its end-of-text token to each text and to each pair.

    It becomes part of the tokenizer's own template, so that truncation leaves room for it and saved
    tokenizers append it too. A tokenizer that already appends a special token is left as it is.

    Raises:
        PeftirError: the tokenizer has no end-of-text token, or cannot be changed since it is a slow one.
    """
    if appended_token(tokenizer) is not None:
        return
    if tokenizer.eos_token is None or not tokenizer.is_fast:
        lack = "no end-of-text token" if tokenizer.eos_token is None else "no tokenizer.json"
        raise PeftirError(
            f"backbone.append_eos: true: the tokenizer of {tokenizer.name_or_path} has {lack}; expected "
            "false, or a backbone whose tokenizer has one"
        )
    single, pair = (Template.of(tokenizer, texts) for texts in (1, 2))
    used = {id for template in (single, pair) for id, _ in template.parts if id is not None}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=_pieces(tokenizer, single),
        pair=_pieces(tokenizer, pair),
        special_tokens=[
            (tokenizer.convert_ids_to_tokens(id), id) for id in sorted(used | {tokenizer.eos_token_id})
        ],
    )


def appended_token(tokenizer: Any) -> int | None:
    """The id of the special token at the end of each text; ``None`` if there is none."""
    return Template.of(tokenizer, 1).parts[-1][0]


def ensure_padding_token(tokenizer: Any) -> None:
    """Set the end-of-text token as padding token of a ``tokenizer`` without one, such as Llama's.

    Raises:
        PeftirError: it has no end-of-text token either.
    """
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise PeftirError(
                f"backbone.name: {tokenizer.name_or_path}: its tokenizer has neither a padding token nor an "
                "end-of-text token; set pad_token in a copy's tokenizer_config.json and name that"
            )
        tokenizer.pad_token = tokenizer.eos_token


def pad_with_another_token(tokenizer: Any) -> None:
    """Pad with a token that is not the appended one, for the heads of decoders.

    They read the last token that is not the padding token, and would miss the appended one. Padding is masked
    in attention, so that any other token will do.

    Raises:
        PeftirError: the tokenizer has no other special token.
    """
    if tokenizer.pad_token_id != appended_token(tokenizer):
        return
    named = (tokenizer.unk_token, tokenizer.bos_token, tokenizer.eos_token, *tokenizer.all_special_tokens)
    other = next((token for token in named if token not in (None, tokenizer.pad_token)), None)
    if other is None:
        raise PeftirError(
            f"backbone.name: {tokenizer.name_or_path}: its tokenizer appends its padding token, "
            f"{tokenizer.pad_token}, and has no other special token, but a re-ranker has to tell them apart; "
            "set another pad_token in a copy's tokenizer_config.json and name that"
        )
    tokenizer.pad_token = other


def _pieces(tokenizer: Any, template: Template) -> list[str]:
    """The pieces of a template in the notation of ``tokenizers``, with the end-of-text token at the end."""
    parts = [*template.parts, (tokenizer.eos_token_id, template.parts[-1][1])]
    texts = iter("AB")
    return [
        f"${next(texts)}:{type}" if id is None else f"{tokenizer.convert_ids_to_tokens(id)}:{type}"
        for id, type in parts
    ]
