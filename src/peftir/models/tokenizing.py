"""The tokens that a model reads of texts: of a long text the beginning, so no more of it is tokenized.

A text may be cut before a space that follows a letter or a digit if no token of the tokenizer reaches over it
and nothing that comes after it changes the tokens before. That can be proven of some tokenizers from their
parts, and all others are given whole texts. What is needed of each part, in the order in which they work:

- No added token has words with space between them, so that none reaches over the cut.
- The normalizer works character by character, or on a character with the marks that follow it, and leaves a
  letter or digit before the space, and the space. What it makes of the beginning is then the beginning of
  what it makes of the whole.
- The pre-tokenizer has a boundary before the space, whatever follows. Of a pattern that is so if in a match
  nothing but space comes before a space; looking ahead, as in ``\\s+(?!\\S)``, changes nothing before a
  letter or digit.
- The model looks at one piece between two boundaries at a time, as all of the library's do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import normalizers, pre_tokenizers
from torch import Tensor

CHARACTERS = 6  # of a text for each token to be kept: more than most texts need

NORMALIZERS = (
    normalizers.BertNormalizer,
    normalizers.Lowercase,
    normalizers.NFC,
    normalizers.NFD,
    normalizers.NFKC,
    normalizers.NFKD,
    normalizers.Precompiled,  # SentencePiece's table: a grapheme at a time, or else a character
    normalizers.Strip,
    normalizers.StripAccents,
)
REPEATED_SPACES = (
    " {2,}"  # the pattern by which SentencePiece's tokenizers make them one; a cut is before them
)
SPACED = (pre_tokenizers.BertPreTokenizer, pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit)
BY_CHARACTER = (pre_tokenizers.Digits, pre_tokenizers.Punctuation)  # whether there is a boundary or not
# The patterns of Llama 3 (and GPT-4's tokenizer) and of Qwen2 to Qwen3; GPT-2's is ByteLevel's own.
PATTERNS = tuple(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    + digits
    + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in (r"\p{N}{1,3}", r"\p{N}")
)

Tokens = dict[str, list[list[int]]]


def tokenize(tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None, length: int) -> Tokens:
    """What ``tokenizer`` gives for each text, or text and its pair, of ``length`` tokens at most.

    The tokens are those of the whole texts: a beginning is taken where it has more tokens than are kept, and
    the whole text where it has not, where the end is what the tokenizer keeps, and where nothing proves that
    the tokens of a beginning are the first of the whole's. A text without any token, as an empty one where
    the tokenizer adds no special ones, is read as its end-of-text token: a model needs one.

    Args:
        length: tokens kept of each, special ones included; of a pair the longer text is cut first.
    """
    last = list(texts if pairs is None else pairs)
    cuts = tokenizer.truncation_side == "right" and can_be_cut(tokenizer)
    short = [beginning(text, CHARACTERS * length) for text in last] if cuts else last
    encoded = _encoded(tokenizer, texts, pairs, short, range(len(last)), length)
    tokens: Tokens = dict(encoded)
    unsure = [
        row
        for row, (text, start) in enumerate(zip(last, short, strict=True))
        if len(start) < len(text) and not _is_cut_alike(encoded.encodings[row], pairs is not None)
    ]
    if unsure:
        whole = _encoded(tokenizer, texts, pairs, last, unsure, length)
        for key, rows in tokens.items():
            for row, values in zip(unsure, whole[key], strict=True):
                rows[row] = values
    _leave_none_empty(tokenizer, tokens)
    return tokens


def features(tokenizer: Any, tokens: Tokens, device: Any) -> dict[str, Tensor]:
    """``tokens`` as a model takes them: ``[texts, longest]`` each, padded to the longest."""
    return dict(tokenizer.pad(tokens, return_tensors="pt").to(device))


def end_of_text(tokenizer: Any) -> int:
    """What is read of a text without any token."""
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.pad_token_id
    return int(end)


def _leave_none_empty(tokenizer: Any, tokens: Tokens) -> None:
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
    """The encoding of ``rows``, with ``last`` for the texts, or for the pairs where there are any."""
    replaced = [last[row] for row in rows]
    first = replaced if pairs is None else [texts[row] for row in rows]
    second = None if pairs is None else replaced
    return tokenizer(first, second, truncation="longest_first", max_length=length)


def beginning(text: str, characters: int) -> str:
    """``text`` up to the last place within ``characters`` where it can be cut; the whole if there is none."""
    if len(text) <= characters:
        return text
    end = text.rfind(" ", 0, characters)
    while end > 0 and not text[end - 1].isalnum():
        end = text.rfind(" ", 0, end)
    return text[:end] if end > 0 else text


def can_be_cut(tokenizer: Any) -> bool:
    """Whether it is certain that texts can be cut before a space that follows a letter or a digit."""
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
    """The normalizers or pre-tokenizers that ``component`` is made of, in their order."""
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
    """Whether the first of pre-tokenizers that can be the one to do so does; later ones see single pieces."""
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


def _is_cut_alike(encoding: Any, pair: bool) -> bool:
    """Whether the tokens kept of a beginning are those kept of the whole.

    Tokens of it have to be left over. Of a pair, the first text has to be there whole, which it is for sure
    if it is clearly the shorter one: were it cut, it would be as long as the other, give or take a token.
    """
    if not encoding.overflowing:
        return False
    kept = encoding.sequence_ids
    return not pair or kept.count(0) + 1 < kept.count(1)
