"""Tokenize texts to a maximum length; only the beginning of a long text is tokenized.

A text can be cut before a space that follows a letter or a digit if no token spans the cut and the text after
it does not change the tokens before it. For some tokenizers this follows from their components; all others
get whole texts. The conditions on each component, in the order of processing:

- Added tokens: none contains a space between words, so none spans the cut.
- Normalizer: it works character by character, or on a character with its combining marks, and keeps a letter
  or digit before the space, and the space. Then the normalized beginning is the beginning of the normalized
  text.
- Pre-tokenizer: it splits before the space, whatever follows. A pattern does so if in a match only spaces
  precede a space; lookahead, as in ``\\s+(?!\\S)``, changes nothing before a letter or digit.
- Model: it works on one pre-token at a time, as all models of the library do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import normalizers, pre_tokenizers
from torch import Tensor

CHARACTERS = 6  # tokenized per kept token: more than most texts need

NORMALIZERS = (
    normalizers.BertNormalizer,
    normalizers.Lowercase,
    normalizers.NFC,
    normalizers.NFD,
    normalizers.NFKC,
    normalizers.NFKD,
    normalizers.Precompiled,  # SentencePiece's table, by grapheme or character
    normalizers.Prepend,
    normalizers.Strip,
    normalizers.StripAccents,
)
REPEATED_SPACES = " {2,}"  # SentencePiece's pattern that merges spaces; a cut is before them
SPACED = (pre_tokenizers.BertPreTokenizer, pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit)
BY_CHARACTER = (
    pre_tokenizers.Digits,
    pre_tokenizers.Punctuation,
)  # split by character class
# The patterns of Llama 3 (and GPT-4's tokenizer) and of Qwen2 to Qwen3; GPT-2's is ByteLevel's own.
PATTERNS = tuple(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    + digits
    + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in (r"\p{N}{1,3}", r"\p{N}")
)

Tokens = dict[str, list[list[int]]]


def tokenize(tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None, length: int) -> Tokens:
    """The output of ``tokenizer`` for each text, or each pair of texts, truncated to ``length`` tokens.

    The result equals that for the whole texts: the beginning of a text is used only if it has more tokens
    than are kept, the tokenizer truncates on the right, and :func:`can_be_cut` holds. A text without any
    token, such as an empty one without special tokens, becomes the end-of-text token.

    Args:
        length: maximum number of tokens, special tokens included; in a pair the longer text is truncated
            first.
    """
    last = list(texts if pairs is None else pairs)
    cuts = tokenizer.truncation_side == "right" and can_be_cut(tokenizer)
    short = [beginning(text, CHARACTERS * length) for text in last] if cuts else last
    encoded = _encoded(tokenizer, texts, pairs, short, range(len(last)), length)
    tokens: Tokens = dict(encoded)
    unsure = [
        row
        for row, (text, start) in enumerate(zip(last, short, strict=True))
        if len(start) < len(text) and not _matches_whole(encoded.encodings[row], pairs is not None)
    ]
    if unsure:
        whole = _encoded(tokenizer, texts, pairs, last, unsure, length)
        for key, rows in tokens.items():
            for row, values in zip(unsure, whole[key], strict=True):
                rows[row] = values
    _fill_empty(tokenizer, tokens)
    return tokens


def features(tokenizer: Any, tokens: Tokens, device: Any) -> dict[str, Tensor]:
    """``tokens`` as tensors for a model: ``[texts, longest]`` each, padded to the longest text."""
    return dict(tokenizer.pad(tokens, return_tensors="pt").to(device))


def end_of_text(tokenizer: Any) -> int:
    """The id of the token that stands for a text without tokens."""
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.pad_token_id
    return int(end)


def _fill_empty(tokenizer: Any, tokens: Tokens) -> None:
    for row, ids in enumerate(tokens["input_ids"]):
        if not ids:
            end = end_of_text(tokenizer)
            for key, rows in tokens.items():
                rows[row] = [{"input_ids": end, "attention_mask": 1}.get(key, 0)]


def _encoded(
    tokenizer: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    last: Sequence[str],
    rows: Sequence[int],
    length: int,
) -> Any:
    """The encoding of ``rows``, with ``last`` in place of the texts, or of the second texts of pairs."""
    replaced = [last[row] for row in rows]
    first = replaced if pairs is None else [texts[row] for row in rows]
    second = None if pairs is None else replaced
    return tokenizer(first, second, truncation="longest_first", max_length=length)


def beginning(text: str, characters: int) -> str:
    """``text`` up to the last possible cut within ``characters``; the whole text if there is none."""
    if len(text) <= characters:
        return text
    end = text.rfind(" ", 0, characters)
    while end > 0 and not text[end - 1].isalnum():
        end = text.rfind(" ", 0, end)
    return text[:end] if end > 0 else text


def can_be_cut(tokenizer: Any) -> bool:
    """Whether texts can be cut before a space after a letter or digit without a change of tokens."""
    if not tokenizer.is_fast:
        return False
    backend = tokenizer.backend_tokenizer
    added = [token.content for token in backend.get_added_tokens_decoder().values()]
    return (
        not any(len(content.replace("\u2581", " ").split()) > 1 for content in added)
        and all(map(_keeps_spaces, _parts(backend.normalizer)))
        and _splits_at_spaces(list(_parts(backend.pre_tokenizer)))
    )


def _parts(component: Any) -> Iterator[Any]:
    """The single normalizers or pre-tokenizers of ``component``, in their order."""
    if type(component) in (normalizers.Sequence, pre_tokenizers.Sequence):
        for part in component:
            yield from _parts(part)
    elif component is not None:
        yield component


def _keeps_spaces(normalizer: Any) -> bool:
    if isinstance(normalizer, normalizers.Replace):
        return _settings(normalizer)["pattern"] == {"Regex": REPEATED_SPACES}
    return isinstance(normalizer, NORMALIZERS)


def _splits_at_spaces(parts: list[Any]) -> bool:
    """Whether the first pre-tokenizer not in ``BY_CHARACTER`` splits at spaces."""
    first = next((part for part in parts if not isinstance(part, BY_CHARACTER)), None)
    if isinstance(first, pre_tokenizers.ByteLevel):
        return bool(first.use_regex)
    if isinstance(first, pre_tokenizers.Metaspace):
        return bool(first.split)
    if isinstance(first, pre_tokenizers.Split):
        split = _settings(first)
        return split["pattern"].get("Regex") in PATTERNS and split["behavior"] == "Isolated"
    return isinstance(first, SPACED)


def _settings(component: Any) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(component.__getstate__())
    return settings


def _matches_whole(encoding: Any, pair: bool) -> bool:
    """Whether the tokens kept of a beginning equal those kept of the whole text.

    The beginning must have more tokens than are kept. In a pair, the first text must be complete, which is
    certain if it is at least two tokens shorter: truncation makes both equally long, within one token.
    """
    if not encoding.overflowing:
        return False
    kept = encoding.sequence_ids
    return not pair or kept.count(0) + 1 < kept.count(1)
